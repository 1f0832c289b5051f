"""A data plane that also ends stale UDP flows: wraps the one of any mode, and acts when that has committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import structlog

from proxyconfig_agent.dataplane import Change, Dataplane, Outcome, Settings
from proxyconfig_agent.ingest.values import Address, Family
from proxyconfig_agent.node.flows import Answering, Endpoint, Flow, answering, is_udp, stale
from proxyconfig_agent.select.frontends import Frontends

ONE_BY_ONE = 16
"""Up to so many destinations are looked up each by the kernel, which walks its table in 20 ms; for more, all UDP flows are read."""

_log = structlog.get_logger("flows")


class FlowTable(Protocol):
    """The kernel's UDP flows; `ctnetlink` is one. All raise OSError."""

    def flows_to(self, family: Family, destination: Endpoint) -> Sequence[Flow]: ...

    def flows(self, family: Family) -> Iterable[Flow]: ...

    def delete(self, family: Family, gone: Sequence[Flow]) -> None: ...


class FlowCleanup:
    """`local` tells the node's addresses but loopback; `deleted` is told the family, how many flows, and the seconds it took."""

    def __init__(
        self, mode: Dataplane, table: FlowTable, local: Callable[[], Sequence[Address]], deleted: Callable[[Family, int, float], None]
    ) -> None:
        self._mode, self._table, self._local, self._deleted = mode, table, local, deleted
        self._settings = Settings()
        self._first = True

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        udp: list[Change] = []
        outcome = self._mode.resync(settings, _noted(wanted, udp))
        self._settings = settings
        # An audit that finds nothing changes no flow. What happened before the start, nobody told.
        if self._first or outcome.operations:
            self._end(udp)
        self._first = False
        return outcome

    def apply(self, changes: Iterable[Change]) -> Outcome:
        changes = tuple(changes)
        outcome = self._mode.apply(changes)
        self._end([change for change in changes if is_udp(change)])
        return outcome

    def _end(self, changes: Sequence[Change]) -> None:
        """A flow that is not ended is a nuisance; a failed sync would be worse: errors are logged."""
        if not changes:
            return
        try:
            for family, may_answer in answering(changes, self._node_addresses(changes)).items():
                self._end_in(family, may_answer)
        except OSError as error:
            _log.warning("stale UDP flows not ended", error=str(error))

    def _end_in(self, family: Family, may_answer: Answering) -> None:
        started = time.monotonic()
        if len(may_answer) <= ONE_BY_ONE:
            found = [flow for destination in may_answer for flow in self._table.flows_to(family, destination)]
            gone = stale(found, may_answer)
        else:
            gone = stale(self._table.flows(family), may_answer)
        if gone:
            self._table.delete(family, gone)
            _log.info("stale UDP flows ended", family=f"IPv{family.value}", flows=len(gone))
        self._deleted(family, len(gone), time.monotonic() - started)

    def _node_addresses(self, changes: Iterable[Change]) -> Sequence[Address]:
        if not any(side is not None and side.node_port for change in changes for side in (change.old, change.new)):
            return ()
        serving = self._settings.node_port_addresses
        return self._local() if serving is None else serving

    def probe(self) -> dict[str, str]:
        return self._mode.probe()

    def disturbed(self) -> bool:
        return self._mode.disturbed()

    def remove(self) -> None:
        self._first = True
        self._mode.remove()

    def close(self) -> None:
        self._mode.close()

    def scan(self) -> list[str]:
        return self._mode.scan()


def _noted(wanted: Iterable[Frontends], udp: list[Change]) -> Iterator[Frontends]:
    for frontends in wanted:
        change = Change(None, frontends)
        if is_udp(change):
            udp.append(change)
        yield frontends
