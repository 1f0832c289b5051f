"""The messages of changed Service ports: pick chains and elements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proxyconfig_agent.dataplane.nftables.model import endpoint_chains, sets
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain
from proxyconfig_agent.dataplane.nftables.model.table import table_of
from proxyconfig_agent.dataplane.tables.delta import Delta
from proxyconfig_agent.dataplane.tables.kernel.transaction import added, deleted, rewritten
from proxyconfig_agent.dataplane.tables.model.elements import verdict_tail
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.expressions import host
from proxyconfig_agent.netlink.nftables.messages import Message


def changed(family: Family, fresh: Mapping[EndpointChain, int], deltas: Sequence[Delta]) -> Iterator[Message]:
    """New pick chains, then what goes, then what comes: the kernel cannot change the value of a key in place."""
    table = table_of(family)
    for pick in fresh:
        yield wire.new_chain(table, pick.chain)
        # One that was to be taken out may still be there, with its rules.
        yield from rewritten(table, pick.chain, endpoint_chains.chain_of(pick, family))
    yield from added(table, [{name: class_elements(fresh) for name in (sets.CLASSES, sets.PICKS)}])
    yield from deleted(table, [delta.deleted for delta in deltas])
    yield from added(table, [delta.added for delta in deltas])


def class_elements(codes: Mapping[EndpointChain, int]) -> dict[bytes, bytes]:
    """The elements that `classes` and `picks` have for pick chains."""
    return {host(code): verdict_tail(pick.chain) for pick, code in codes.items()}
