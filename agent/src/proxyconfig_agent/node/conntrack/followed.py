"""A data plane whose commits are followed by a clean-up of the flows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from proxyconfig_agent.dataplane.port import Change, Dataplane, Outcome, Settings
from proxyconfig_agent.select.frontends import Frontends


class Commits(Protocol):
    """Called in the thread of the commit; see `ConntrackCleaner`."""

    def committing(self, wanted: Iterable[Frontends | None]) -> AbstractContextManager[None]: ...

    def resynced(self, settings: Settings, wanted: Iterable[Frontends], outcome: Outcome) -> None: ...

    def applied(self, changes: Iterable[Change], outcome: Outcome) -> None: ...


class Followed:
    """The data plane `mode`; `commits` follows each of its commits."""

    def __init__(self, mode: Dataplane, commits: Commits) -> None:
        self._mode, self._commits = mode, commits

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        wanted = tuple(wanted)
        with self._commits.committing(wanted):
            outcome = self._mode.resync(settings, wanted)
            self._commits.resynced(settings, wanted, outcome)
        return outcome

    def apply(self, changes: Iterable[Change]) -> Outcome:
        changes = tuple(changes)
        with self._commits.committing(change.new for change in changes):
            outcome = self._mode.apply(changes)
            self._commits.applied(changes, outcome)
        return outcome

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._mode.is_slow(changes)

    def disturbed(self) -> bool:
        return self._mode.disturbed()
