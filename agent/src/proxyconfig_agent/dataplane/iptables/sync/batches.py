"""Groups changes of Service ports by family, and splits changes and edits into batches for iptables-restore. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from proxyconfig_agent.dataplane.iptables.delta import Edits
from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend
from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.dataplane.sync.batching import latest
from proxyconfig_agent.ingest.model import Family

BATCH = {Backend.NFT: 600, Backend.LEGACY: 1 << 62}
"""Operations per input. iptables-nft-restore takes quadratic time in the chains of its input (5,000 Services × 10 endpoints: 7 s in
batches, minutes at once); iptables-legacy-restore reads and writes the whole table each time, however little changes."""

_REFERRING_FIRST = (chain_names.FIREWALL, chain_names.EXTERNAL, chain_names.CLUSTER, chain_names.LOCAL, chain_names.ENDPOINT)
"""The chains of a Service port, each before those that its rules lead to."""


def by_family(changes: Iterable[Change]) -> dict[Family, list[Change]]:
    """The latest change of each Service port."""
    families: dict[Family, list[Change]] = {}
    for change in latest(changes):
        if known := change.new or change.old:
            families.setdefault(known.family, []).append(change)
    return families


def batches(changes: Sequence[Change], operations: int) -> Iterator[Sequence[Change]]:
    """A Service port of ten endpoints is about twelve operations."""
    step = max(1, operations // 12)
    for at in range(0, len(changes), step):
        yield changes[at : at + step]


def portions(edits: Edits, operations: int) -> Iterator[Edits]:
    """The same edits for several inputs, if they are too many for one. A chain is deleted only after all rules that lead to it."""
    if len(edits) <= operations:
        yield edits
        return
    of_services = sorted((chain for chain in edits.gone if _is_of_service(chain)), key=_rank)
    others = [chain for chain in edits.gone if not _is_of_service(chain)]
    # No packet meets rules of Services after the first input.
    yield replace(edits, chains={**edits.chains, **dict.fromkeys(others, ())}, gone=[])
    for at in range(0, len(of_services), operations):
        yield Edits(gone=of_services[at : at + operations])
    yield Edits(gone=others)


def _is_of_service(chain: Chain) -> bool:
    return chain.table is Table.NAT and chain_names.is_of_service(chain.name)


def _rank(chain: Chain) -> int:
    return next(rank for rank, prefix in enumerate(_REFERRING_FIRST) if chain.name.startswith(prefix))
