"""Changes of Service ports, put in order for iptables: family by family, as many at once as an input is to have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import PortName


def per_family(changes: Iterable[Change]) -> dict[Family, list[Change]]:
    """The last change of a Service port counts, from what it was before the first."""
    latest: dict[tuple[Family, PortName], Change] = {}
    for change in changes:
        if known := change.new or change.old:
            key = known.family, known.name
            latest[key] = Change(latest[key].old if key in latest else change.old, change.new)
    by_family: dict[Family, list[Change]] = {}
    for (family, _), change in latest.items():
        by_family.setdefault(family, []).append(change)
    return by_family


def portions(changes: Sequence[Change], operations: int) -> Iterator[Sequence[Change]]:
    """A Service port of ten endpoints is about twelve operations."""
    step = max(1, operations // 12)
    for at in range(0, len(changes), step):
        yield changes[at : at + step]
