"""A data plane that also ends stale UDP flows: wraps the one of any mode, and acts when that has committed.

It remembers the UDP ports that it has served, so that whatever made a sync necessary (a change, a retry, a missed event), the flows
are compared with what was before. Its own first sync knows nothing of before, and looks at the flows of every Service; so does one that
repaired rules, as packets may have passed without them.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import structlog

from proxyconfig_agent.conntrack.stale import Answering, Flow, Lookup, NodePortAddresses, Stale, answering, can_be_stale, is_udp
from proxyconfig_agent.dataplane.port import Change, Dataplane, Destination, Outcome, ProbeResult, Settings
from proxyconfig_agent.ingest.model import ANY, Address, Family, family_of
from proxyconfig_agent.select.frontends import Frontends, PortName

LOOKUPS = 8
"""Up to so many ports are looked up each by the kernel, which walks 200,000 flows in 50 ms; for more, all UDP flows are read once (1 s)."""

LOOK_AGAIN_S = 600.0
"""An audit that finds the rules as they should be looks at every flow, too, if that was not done for so long."""

RETRIES = 5
"""A table that cannot be read is tried again so often, with an audit each time."""

_log = structlog.get_logger("flows")

Served = dict[tuple[PortName, Family], Frontends]
"""The UDP ports that are served."""

Ended = Callable[[Family, Mapping[Stale, int], float], None]
"""Told of a clean-up: the family, how many flows for which reason, and the seconds it took."""


class FlowTable(Protocol):
    """The kernel's UDP flows; `ctnetlink` is one. Both raise OSError."""

    def flows(self, family: Family, lookup: Lookup | None = None) -> Iterable[Flow]: ...

    def delete(self, family: Family, gone: Sequence[Flow]) -> None: ...


class ConntrackCleaner:
    """`local` tells the node's addresses but loopback. `served` outlives a change of mode, if all modes are given the same."""

    def __init__(
        self,
        mode: Dataplane,
        table: FlowTable,
        local: Callable[[], Sequence[Address]],
        ended: Ended,
        *,
        served: Served,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mode, self._table, self._local, self._ended, self._served, self._clock = mode, table, local, ended, served, clock
        self._settings: Settings | None = None  # None: nothing was looked at yet
        self._looked_s = 0.0
        self._unfinished = 0  # how many attempts to finish a clean-up are left
        self._missed: Served = {}  # what was served when one failed

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        udp: Served = {}
        outcome = self._mode.resync(settings, _noted(wanted, udp))
        changes = self._settle(udp, {*self._served, *udp}, outcome)
        before, self._settings = self._settings, settings
        if before is None or outcome.operations or self._unfinished or self._clock() >= self._looked_s + LOOK_AGAIN_S:
            missed = [Change(old, None) for old in self._missed.values()]
            return self._end(outcome, [*missed, *changes], before or settings, thorough=True)
        return self._end(outcome, list(filter(can_be_stale, changes)), before)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        changes = tuple(changes)
        outcome = self._mode.apply(changes)
        udp = {(side.name, side.family): change.new for change in changes if (side := change.new or change.old) and is_udp(side)}
        settled = self._settle({key: new for key, new in udp.items() if new}, set(udp), outcome)
        return self._end(outcome, list(filter(can_be_stale, settled)), self._settings or Settings())

    def disturbed(self) -> bool:
        """Whether an audit is due: for the rules, or for flows that could not be read."""
        return self._mode.disturbed() or self._unfinished > 0

    def remove(self) -> None:
        """Flows stay: whoever serves the Services next goes on with them."""
        self._settings = None
        self._mode.remove()

    def probe(self) -> ProbeResult:
        return self._mode.probe()

    def close(self) -> None:
        self._mode.close()

    def scan(self) -> list[str]:
        return self._mode.scan()

    def _settle(self, wanted: Served, concerned: set[tuple[PortName, Family]], outcome: Outcome) -> list[Change]:
        """Remember that `wanted` is served now, but for what was refused; what changed for those concerned."""
        refused = {refusal.service for refusal in outcome.refused}
        changes = []
        for key in concerned:
            new = wanted.get(key) if key[0].service not in refused else None
            changes.append(Change(self._served.pop(key, None), new))
            if new is not None:
                self._served[key] = new
        return [change for change in changes if change.old or change.new]

    def _end(self, outcome: Outcome, changes: Sequence[Change], before: Settings, *, thorough: bool = False) -> Outcome:
        """End what is stale. A flow that is not ended is a nuisance; a failed sync would be worse: errors are logged, and tried again."""
        started = self._clock()
        try:
            for family, may_answer in answering(changes, self._node_ports(changes, outcome.abandoned, before), outcome.abandoned).items():
                self._end_in(family, may_answer)
        except OSError as error:
            self._unfinished = self._unfinished - 1 if self._unfinished else RETRIES
            self._missed |= {(old.name, old.family): old for change in changes if (old := change.old)}
            _log.warning("stale UDP flows not ended", error=str(error), attempts_left=self._unfinished)
        else:
            if thorough:
                self._looked_s, self._unfinished = started, 0
                self._missed.clear()
        if not changes and not outcome.abandoned:
            return outcome
        return dataclasses.replace(outcome, took_s={**outcome.took_s, "flows": self._clock() - started})

    def _end_in(self, family: Family, may_answer: Answering) -> None:
        started = self._clock()
        reasons: Counter[Stale] = Counter()
        gone = []
        for flow in self._found(family, may_answer.lookups()):
            if why := may_answer.why(flow):
                reasons[why] += 1
                gone.append(flow)
        if gone:
            self._table.delete(family, gone)
            _log.info("stale UDP flows ended", family=f"IPv{family.value}", **{why.value: number for why, number in reasons.items()})
        self._ended(family, reasons, self._clock() - started)

    def _found(self, family: Family, lookups: Sequence[Lookup]) -> Iterator[Flow]:
        for lookup in lookups if len(lookups) <= LOOKUPS else (None,):
            yield from self._table.flows(family, lookup)

    def _node_ports(self, changes: Iterable[Change], abandoned: Iterable[Destination], before: Settings) -> NodePortAddresses:
        used = any(side is not None and side.node_port for change in changes for side in (change.old, change.new))
        if not used and all(destination.address for destination in abandoned):
            return NodePortAddresses()
        settings = self._settings or Settings()
        serving = frozenset(self._serving(settings))
        former = frozenset(self._serving(before)) - serving if before != settings else frozenset()
        return NodePortAddresses(serving, former, loopback=settings.localhost_node_ports)

    def _serving(self, settings: Settings) -> Sequence[Address]:
        chosen = [address for address in settings.node_port_addresses if address not in ANY.values()]
        return [*chosen, *(address for address in self._local() if ANY[family_of(address)] in settings.node_port_addresses)]


def _noted(wanted: Iterable[Frontends], udp: Served) -> Iterator[Frontends]:
    for frontends in wanted:
        if is_udp(frontends):
            udp[frontends.name, frontends.family] = frontends
        yield frontends
