"""One mode serves a node, and what another mode left behind goes: after a change of mode, and at the start. `modes` puts it together.

The new mode programs everything first; only then the old rules are taken away, or disarmed while a change is held. Until then both
translate to the same endpoints, and the kernel asks the second one nothing about a connection that the first has decided.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from proxyconfig_agent.dataplane.modes.departure import Departure
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Lifecycle, ModeInstance, Outcome, ProbeResult, Settings, Succession
from proxyconfig_agent.select.frontends import Frontends

Others = Callable[[], Iterator[Lifecycle]]
"""Makes those of the other modes that may have left something here."""

_log = structlog.get_logger("takeover")


class Takeover:
    """The data plane of one mode, and its succession: alone on the node after its first full resync, or as soon as the others' connections
    have ended; with `hold`, not before `commit`."""

    def __init__(self, mode: ModeInstance, others: Others) -> None:
        self.mode, self._others = mode, others
        self._begun = self._holding = False
        self._standby: ModeInstance | None = None
        self._departure: Departure | None = None
        """Of the others."""
        self._drain_s = Settings().drain_s
        self._error = ""
        """Why the others did not begin to retire, or to end; empty if they did."""
        self._one = threading.Lock()  # of what becomes of the others

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        outcome = self.mode.resync(settings, wanted)
        with self._one:
            self._drain_s = settings.drain_s
            if self._holding:
                self._disarm()
            else:
                self._retire(begin=not self._begun)
        return outcome

    def apply(self, changes: Iterable[Change]) -> Outcome:
        changes = tuple(changes)
        outcome = self.mode.apply(changes)
        if self._standby is not None:
            self._follow(self._standby, changes)
        return outcome

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self.mode.is_slow(changes) or (self._standby is not None and self._standby.is_slow(changes))

    def disturbed(self) -> bool:
        if self._one.acquire(blocking=False):  # else a thread is at it
            try:
                self._retire(begin=bool(self._error))
            finally:
                self._one.release()
        return self.mode.disturbed()

    def hold(self, before: Succession | None) -> None:
        self._error = ""
        self._holding, self._standby = True, before.mode if isinstance(before, Takeover) else None

    def again(self) -> None:
        self._begun = self._holding = False
        self._error = ""

    def commit(self) -> None:
        with self._one:
            self._holding, self._standby = False, None
            self._retire(begin=not self._begun)

    def is_alone(self) -> bool:
        return self._begun and self._departure is not None and self._departure.is_over

    def close(self) -> None:
        """Of the modes that are leaving; what is in the kernel stays."""
        if self._departure is not None:
            self._departure.close()

    def _disarm(self) -> None:
        """This mode serves everything by now. Raises DataplaneError or OSError: two modes would answer, and nobody decides which."""
        if self._standby is not None and not self._standby.disarm():
            self._standby = None
        for other in self._others():
            with contextlib.closing(other):
                other.disarm()

    def _follow(self, standby: ModeInstance, changes: Sequence[Change]) -> None:
        """What cannot be kept up to date is brought up to date when it serves again, by its full resync."""
        try:
            standby.apply(changes)
        except (DataplaneError, OSError) as error:
            _log.warning("the mode before is not kept up to date", error=str(error))
            self._standby = None

    def _retire(self, begin: bool = False) -> None:
        """Begin with all others, or go on with those that are leaving. What fails is tried again when the node is looked at next."""
        try:
            if begin:
                self.close()  # of an earlier succession
                self._begun, self._departure = True, Departure(self._others())
            if self._departure is not None:
                self._departure.step(self._drain_s)
            self._error = ""
        except (DataplaneError, OSError) as error:
            # Both serve the same Services, so this can wait.
            words = str(error) or type(error).__name__
            if words != self._error:
                _log.error("rules of another mode not removed", error=words)
            self._error = words
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

    def disarm(self) -> bool:
        return self._mode.disarm()

    def arm(self) -> None:
        self._mode.arm()

    def retire(self, drain_s: float) -> bool:
        return self._mode.retire(drain_s)

    def close(self) -> None:
        self._mode.close()
        if self._takeover is not None:
            self._takeover.close()


def any_here(found: Iterable[Lifecycle]) -> bool:
    """Whether one of these modes has anything in the kernel. Raises DataplaneError or OSError."""
    for each in found:
        with contextlib.closing(each):
            if each.scan():
                return True
    return False


def emptied(mode: Lifecycle) -> list[str]:
    """Take away what it has in the kernel, and return what a scan still finds. Raises DataplaneError or OSError."""
    mode.remove()
    return mode.scan()


def removed(found: Iterable[Lifecycle]) -> list[str]:
    """Take away what these modes have in the kernel, and return what a scan still finds. Raises DataplaneError or OSError."""
    left: list[str] = []
    for each in found:
        with contextlib.closing(each):
            before = each.scan()
            left += emptied(each)
        if before:
            _log.info("rules of another mode removed", objects=len(before))
    return left
