"""A data plane whose every call runs in a network namespace: programs that it starts are to be in there, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tests.support.netns.namespace import Namespace

from proxyconfig_agent.dataplane.port import Change, ModeInstance, Outcome, ProbeResult, Settings
from proxyconfig_agent.select.frontends import Frontends


class Entered:
    def __init__(self, node: Namespace, made: Callable[[], ModeInstance]) -> None:
        self._node, self._inner = node, node.call(made)

    def probe(self) -> ProbeResult:
        return self._node.call(self._inner.probe)

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        return self._node.call(self._inner.resync, settings, wanted)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        return self._node.call(self._inner.apply, changes)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._inner.is_slow(changes)

    def disturbed(self) -> bool:
        return self._node.call(self._inner.disturbed)

    def remove(self) -> None:
        self._node.call(self._inner.remove)

    def disarm(self) -> bool:
        return self._node.call(self._inner.disarm)

    def arm(self) -> None:
        self._node.call(self._inner.arm)

    def retire(self, drain_s: float) -> bool:
        return self._node.call(self._inner.retire, drain_s)

    def scan(self) -> list[str]:
        return self._node.call(self._inner.scan)

    def close(self) -> None:
        self._inner.close()
