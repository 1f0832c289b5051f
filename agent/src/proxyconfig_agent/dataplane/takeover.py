"""One mode serves a node, and what another mode left behind goes: after a change of mode, and at the start. `process` puts it together.

The new mode programs everything first; only then the old rules are taken away. Meanwhile both translate to the same endpoints, and the
kernel asks the second one nothing about a connection that the first has decided.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from proxyconfig_agent.dataplane.port import Change, Dataplane, DataplaneError, Outcome, ProbeResult, Settings
from proxyconfig_agent.select.frontends import Frontends

Others = Callable[[], Iterator[Dataplane]]
"""Makes the data planes of the other modes that may have left something here."""

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
                self._remove_others()
            except (DataplaneError, OSError) as error:
                # Both serve the same Services, so this can wait for the next full resync.
                _log.error("rules of another mode not removed", error=str(error))
        return outcome

    def apply(self, changes: Iterable[Change]) -> Outcome:
        return self._mode.apply(changes)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._mode.is_slow(changes)

    def disturbed(self) -> bool:
        return self._mode.disturbed()

    def probe(self) -> ProbeResult:
        return self._mode.probe()

    def remove(self) -> None:
        """Take away what any mode of ours has made."""
        self._mode.remove()
        self._remove_others()

    def scan(self) -> list[str]:
        """What of any mode is here."""
        return [*self._mode.scan(), *(line for other in self._opened() for line in other.scan())]

    def close(self) -> None:
        self._mode.close()

    def _remove_others(self) -> None:
        removed(self._others())
        self._alone = True

    def _opened(self) -> Iterator[Dataplane]:
        for other in self._others():
            with contextlib.closing(other):
                yield other


def removed(found: Iterable[Dataplane]) -> list[str]:
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
