"""Groups changes of Service ports by family and splits them into batches for iptables-restore. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from proxyconfig_agent.dataplane.batching import latest
from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.ingest.model import Family


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
