"""Since when things have been so, by this process's monotonic clock."""

from __future__ import annotations

from collections.abc import Callable


class Elapsed:
    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._since: dict[str, float] = {}

    def start(self, name: str) -> None:
        """Count from now, unless it is counted already."""
        self._since.setdefault(name, self._clock())

    def restart(self, name: str) -> float:
        """Count from now; returns the seconds until now, infinite if it was not counted."""
        now = self._clock()
        before, self._since[name] = self._since.get(name, float("-inf")), now
        return now - before

    def stop(self, name: str) -> None:
        self._since.pop(name, None)

    def seconds(self) -> dict[str, float]:
        now = self._clock()
        return {name: now - since for name, since in self._since.items()}

    def within(self, limit_s: float) -> frozenset[str]:
        """What began less than `limit_s` ago."""
        edge = self._clock() - limit_s
        return frozenset(name for name, since in self._since.items() if since > edge)

    def beyond(self, limit_s: float) -> frozenset[str]:
        """What began `limit_s` ago or earlier."""
        edge = self._clock() - limit_s
        return frozenset(name for name, since in self._since.items() if since <= edge)
