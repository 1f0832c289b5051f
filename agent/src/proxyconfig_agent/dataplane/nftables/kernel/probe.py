"""Asks the kernel for each feature that the mode needs, in transactions that it checks and never carries out."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from msgspec import Struct

from proxyconfig_agent.dataplane.modes.probe import probed
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.base_chains import fixed
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain, chain_of
from proxyconfig_agent.dataplane.nftables.model.sets import containers
from proxyconfig_agent.dataplane.port import ProbeResult, Settings, TemporaryError
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.model import address_sets, checks
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Chain, Container, Hook, Rule
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.expressions import Ct, Meta, Update
from proxyconfig_agent.netlink.nftables.messages import Table

_TABLE = "proxyconfig-probe"
_NAT = Hook("nat", uapi.NF_INET_PRE_ROUTING, -100)
_POSTROUTING = Hook("nat", uapi.NF_INET_POST_ROUTING, 100)

_LACKING = frozenset((errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EINVAL))
"""With these a kernel refuses what it does not have; any other error (no memory, no permission) says nothing about features."""


class Feature(Struct, frozen=True):
    """Something that a kernel may lack: since which version it has it, and which option or module brings it."""

    name: str
    since: str
    option: str
    chain: Chain
    needs: tuple[str, ...] = ()
    """The sets that are made with it."""

    def __str__(self) -> str:
        return f"{self.name} (Linux {self.since} and later, {self.option})"


_WHOLE = Feature("the ruleset as a whole", "5.15", "CONFIG_NF_TABLES", Chain(()))


def features(family: Family) -> list[Feature]:
    """From the plainest to the whole, so that what is missing is named before all that builds on it."""
    # The kernel refuses rules that read a register before they write it.
    zeros = x.immediate(bytes(4), 0)
    address = x.immediate(bytes(family.size), 8) + x.immediate(bytes(4), 8 + family.size // 4)
    nat = address + x.destination_nat(NFPROTO[family], 8, 8 + family.size // 4)
    client = zeros + x.immediate(bytes(family.size), 1) + x.immediate(bytes(4), 5)
    affinity = client + x.dynset(sets.AFFINITY, Update.DELETE, 0, 5)
    ip = f"IPV{family.value}"
    return [
        Feature("tables", "3.13", f"CONFIG_NF_TABLES_{ip}", Chain(())),
        Feature("nat chains", "3.13", "CONFIG_NFT_NAT", Chain((), _NAT)),
        Feature("dnat", "3.13", "CONFIG_NFT_NAT", Chain((Rule(nat),), _NAT)),
        Feature("masquerade fully-random", "3.18", "CONFIG_NFT_MASQ", Chain((Rule(x.masquerade_fully_random()),), _POSTROUTING)),
        Feature("conntrack state", "3.13", "CONFIG_NFT_CT", Chain((Rule(x.ct(Ct.STATE, 0)),))),
        Feature("meta priority", "3.14", "CONFIG_NF_TABLES", Chain((Rule(zeros + x.set_meta(Meta.PRIORITY, 0)),))),
        Feature("random numbers", "4.9", "CONFIG_NFT_NUMGEN", Chain((Rule(x.random_number(2, 0, 0)),))),
        Feature("address types", "4.10", f"CONFIG_NFT_FIB_{ip}", Chain((Rule(x.address_type(of_source=True, to=0)),))),
        Feature("reject", "3.14", f"CONFIG_NFT_REJECT and CONFIG_NFT_REJECT_{ip}", Chain((Rule(checks.reject(family)),))),
        Feature("concatenated ranges", "5.6", "CONFIG_NF_TABLES", Chain(()), (address_sets.SOURCE_RANGES,)),
        Feature("maps written by packets", "5.4", "CONFIG_NF_TABLES", Chain((Rule(affinity),)), (sets.AFFINITY,)),
    ]


def probe(connection: Connection) -> ProbeResult:
    """Every feature by name, and the families that the kernel lacks something for. Raises DataplaneError if it does for all of them.

    The whole ruleset, which needs all features, is asked for first, and what is missing only if the kernel refuses that: it waits some
    10 ms to forget a transaction, and we with it.
    """
    lacks = {family: lack for family in Family if (lack := _lack(connection, family))}
    return probed("nftables", lacks, lambda served: (feature.name for feature in features(served)))


def _lack(connection: Connection, family: Family) -> str:
    """The first feature that the kernel does not have in this family, with its own words; empty if it has them all."""
    whole = _refusal(connection, family, _WHOLE)
    if whole is None:
        return ""
    for feature in features(family):
        if error := _refusal(connection, family, feature):
            return f"the kernel lacks {feature} for IPv{family.value}: {error}"
    return f"the kernel lacks {_WHOLE} for IPv{family.value}: {whole}"


def _refusal(connection: Connection, family: Family, feature: Feature) -> KernelError | None:
    """What the kernel says against a feature that it does not have. Raises TemporaryError for any other trouble."""
    table = Table(NFPROTO[family], _TABLE)
    try:
        connection.commit(transaction.structure(table, None, *_made_with(feature, family)), keep=False)
    except KernelError as error:
        if error.number not in _LACKING:
            raise TemporaryError(f"nftables: {feature} for IPv{family.value} cannot be probed: {error}") from error
        return error
    return None


def _made_with(feature: Feature, family: Family) -> tuple[Mapping[str, Container], Mapping[str, Chain]]:
    if feature is _WHOLE:
        picks = {pick.chain: chain_of(pick, family) for pick in (EndpointChain(1), EndpointChain(2), EndpointChain(1, affinity_s=1))}
        return containers(family), {**fixed(Settings(), family).chains, **picks}
    return {name: container for name, container in containers(family).items() if name in feature.needs}, {"probe": feature.chain}
