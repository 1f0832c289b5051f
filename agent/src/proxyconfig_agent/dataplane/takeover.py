"""One mode serves a node, and what another mode left behind goes: after a change of mode, and at the start. `process` puts it together.

The new mode programs everything first; only then the old rules are taken away. Meanwhile both translate to the same endpoints, and the
kernel asks the second one nothing about a connection that the first has decided.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from proxyconfig_agent.dataplane.port import Change, Dataplane, DataplaneError, Lifecycle, Outcome, ProbeResult, Settings
from proxyconfig_agent.select.frontends import Frontends

Others = Callable[[], Iterator[Lifecycle]]
"""Makes those of the other modes that may have left something here."""

_log = structlog.get_logger("takeover")


class Takeover:
    """The data plane of one mode, alone on the node after its first full resync."""

    def __init__(self, mode: Dataplane, others: Others) -> None:
        self._mode, self._others = mode, others
        self._alone = False

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        outcome = self._mode.resync(settings, wanted)
        if not self._alone:
            try:
                removed(self._others())
            except (DataplaneError, OSError) as error:
                # Both serve the same Services, so this can wait for the next full resync.
                _log.error("rules of another mode not removed", error=str(error))
            else:
                self._alone = True
        return outcome

    def apply(self, changes: Iterable[Change]) -> Outcome:
        return self._mode.apply(changes)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._mode.is_slow(changes)

    def disturbed(self) -> bool:
        return self._mode.disturbed()


class AllModes:
    """The lifecycle of one mode that also removes and finds what all others have left."""

    def __init__(self, mode: Lifecycle, others: Others) -> None:
        self._mode, self._others = mode, others

    def probe(self) -> ProbeResult:
        return self._mode.probe()

    def remove(self) -> None:
        """Take away what any mode of ours has made."""
        self._mode.remove()
        removed(self._others())

    def scan(self) -> list[str]:
        """What of any mode is here."""
        found = self._mode.scan()
        for other in self._others():
            with contextlib.closing(other):
                found += other.scan()
        return found

    def close(self) -> None:
        self._mode.close()


def removed(found: Iterable[Lifecycle]) -> list[str]:
    """Take away what these modes have in the kernel, and return what a scan still finds. Raises DataplaneError or OSError."""
    left: list[str] = []
    for each in found:
        with contextlib.closing(each):
            before = each.scan()
            each.remove()
            left += each.scan()
        if before:
            _log.info("rules of another mode removed", objects=len(before))
    return left
