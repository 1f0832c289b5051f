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
    """The data plane of one mode, alone on the node after its first full resync, or as soon as the others' connections have ended."""

    def __init__(self, mode: Dataplane, others: Others) -> None:
        self._mode, self._others = mode, others
        self._begun = False
        self._leaving: list[Lifecycle] = []

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        outcome = self._mode.resync(settings, wanted)
        self._retire(begin=not self._begun)
        return outcome

    def apply(self, changes: Iterable[Change]) -> Outcome:
        return self._mode.apply(changes)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._mode.is_slow(changes)

    def disturbed(self) -> bool:
        self._retire()
        return self._mode.disturbed()

    def is_alone(self) -> bool:
        """Whether the other modes have nothing on this node any more, as far as is known."""
        return self._begun and not self._leaving

    def close(self) -> None:
        """Of the modes that are leaving; what is in the kernel stays."""
        for other in self._leaving:
            other.close()
        self._leaving = []

    def _retire(self, begin: bool = False) -> None:
        try:
            if begin:
                self._begun, self._leaving = True, [other for other in self._others() if _is_here(other)]
            self._leaving = [other for other in self._leaving if not _is_gone(other)]
        except (DataplaneError, OSError) as error:
            # Both serve the same Services, so this can wait for the next full resync.
            _log.error("rules of another mode not removed", error=str(error))
            self.close()
            self._begun = False


class AllModes:
    """The lifecycle of one mode that also removes and finds what all others have left."""

    def __init__(self, mode: Lifecycle, others: Others, takeover: Takeover | None = None) -> None:
        self._mode, self._others, self._takeover = mode, others, takeover

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

    def retire(self) -> bool:
        return self._mode.retire()

    def close(self) -> None:
        self._mode.close()
        if self._takeover is not None:
            self._takeover.close()


def _is_here(other: Lifecycle) -> bool:
    """Whether it has anything in the kernel. Raises DataplaneError or OSError."""
    if objects := len(other.scan()):
        _log.info("another mode retires", objects=objects)
        return True
    other.close()
    return False


def _is_gone(other: Lifecycle) -> bool:
    """Let it retire further. Raises DataplaneError or OSError."""
    if not other.retire():
        return False
    _log.info("another mode is gone", left=len(other.scan()))
    other.close()
    return True


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
