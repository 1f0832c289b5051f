"""The Services that wait for a sync, each with the time at which its endpoints began to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxyconfig_agent.ingest.model import Family, ServiceName

UNTIMED: Mapping[Family, float] = {}
"""A change whose time is unknown."""


class Pending:
    """`mark` as changes come in, `take` when a sync begins: what is marked during that sync waits for the next one."""

    def __init__(self) -> None:
        self._triggered_at: dict[ServiceName, dict[Family, float]] = {}

    def __len__(self) -> int:
        return len(self._triggered_at)

    def __contains__(self, name: ServiceName) -> bool:
        return name in self._triggered_at

    def __iter__(self) -> Iterator[ServiceName]:
        return iter(self._triggered_at)

    def mark(self, name: ServiceName, triggered_at: Mapping[Family, float] = UNTIMED) -> None:
        """Add a Service; of several times per family the earliest is kept (Unix seconds)."""
        earliest = self._triggered_at.setdefault(name, {})
        for family, at in triggered_at.items():
            earliest[family] = min(at, earliest.get(family, at))

    def take(self) -> Mapping[ServiceName, Mapping[Family, float]]:
        """All of them, in the order in which they were marked first; none waits afterwards."""
        taken, self._triggered_at = self._triggered_at, {}
        return taken
