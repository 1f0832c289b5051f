"""Deletes stale UDP flows after commits of any mode, outside of the event loop, in the memory of one batch however many there are.

It remembers the UDP ports that were served, so that whatever made a sync necessary (a change, a retry, a missed event, another mode), the
flows are compared with what was before. The first sync of a process knows nothing of before, and looks at the flows of every Service; so
does one that repaired rules, as packets may have passed without them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NoReturn, Protocol

import structlog

from proxyconfig_agent.dataplane.port import Change, Dataplane, Outcome, Settings
from proxyconfig_agent.ingest.model import ANY, Address, Family, family_of
from proxyconfig_agent.node.conntrack.backlog import Backlog, CleanUp, Key, Served
from proxyconfig_agent.node.conntrack.followed import Followed
from proxyconfig_agent.node.conntrack.stale import Answering, Flow, Lookup, NodePortAddresses, Stale, answering, can_be_stale, is_udp
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_client.process.backoff import Backoff

LOOKUPS = 8
"""Up to so many ports are looked up each by the kernel, which walks 200,000 flows in 50 ms; for more, all UDP flows are read once (1 s)."""

LOOK_AGAIN_S = 600.0
"""An audit that finds the rules as they should be looks at every flow, too, if that was not done for so long."""

BATCH = 2048
"""Stale flows that are held at once; they are deleted while the table is still being read."""

_log = structlog.get_logger("conntrack")

Ended = Callable[[Family, Mapping[Stale, int], float], None]
"""Called, from another thread, after each clean-up of a family, failed ones included: how many flows for which reason, and seconds."""

Found = Callable[[Finding | None], None]
"""Called with what is wrong with conntrack; None: nothing any more."""


class FlowTable(Protocol):
    """The kernel's UDP flows; `ctnetlink` is one. Both raise OSError. Flows may be deleted while they are read."""

    def flows(self, family: Family, lookup: Lookup | None = None) -> Iterable[Flow]: ...

    def delete(self, family: Family, gone: Sequence[Flow]) -> None: ...


class ConntrackCleaner:
    """One per process, for all modes; commits may come from any thread.

    `local` returns the node's addresses without loopback, and raises OSError."""

    def __init__(
        self,
        table: FlowTable,
        local: Callable[[], Sequence[Address]],
        ended: Ended,
        found: Found,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table, self._local, self._ended, self._found, self._clock = table, local, ended, found, clock
        self._served: Served = {}
        self._underway: Served = {}  # what the kernel may begin to serve at any moment
        self._newer: Served = {}  # what it has begun to serve since the clean-up began that runs now
        self._settings: Settings | None = None  # None: nothing was committed yet
        self._relays: frozenset[bytes] = frozenset()
        self._backlog = Backlog()
        self._looked_s, self._failed = 0.0, False
        self._lock = threading.Lock()  # of what was served, of what is newer, and of the backlog
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken, self._stopping = asyncio.Event(), threading.Event()

    def after(self, mode: Dataplane) -> Dataplane:
        """The data plane, each of whose commits is followed by a clean-up."""
        return Followed(mode, self)

    @contextmanager
    def committing(self, wanted: Iterable[Frontends | None]) -> Iterator[None]:
        """A commit of these Service ports: flows may go to their endpoints from now on, before it has ended."""
        udp = {(each.name, each.family): each for each in wanted if each and is_udp(each)}
        with self._lock:
            self._underway = udp
            self._newer.update(udp)
        try:
            yield
        finally:
            with self._lock:
                self._underway = {}

    def resynced(self, settings: Settings, wanted: Iterable[Frontends], outcome: Outcome) -> None:
        """A full sync has committed these Service ports, and no others."""
        udp = {(frontends.name, frontends.family): frontends for frontends in wanted if is_udp(frontends)}
        before, self._settings = self._settings, settings
        with self._lock:
            if before is None or outcome.operations or self._clock() >= self._looked_s + LOOK_AGAIN_S:
                self._backlog.include_everything()
            if before is not None and before.node_port_addresses != settings.node_port_addresses:
                self._backlog.move_node_ports(before.node_port_addresses)
            self._backlog.abandon(outcome.abandoned)
            self._commit(udp, {*self._served, *udp}, outcome)
        self._wake()

    def applied(self, changes: Iterable[Change], outcome: Outcome) -> None:
        """A sync has committed these changes."""
        udp = {(side.name, side.family): change.new for change in changes if (side := change.new or change.old) and is_udp(side)}
        with self._lock:
            self._commit({key: new for key, new in udp.items() if new}, set(udp), outcome)
        self._wake()

    async def run(self) -> NoReturn:
        """Clean up until cancelled, in a thread. A failure is tried again; it never fails a sync."""
        backoff, self._loop = Backoff(first_s=1.0), asyncio.get_running_loop()
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                while (work := self._taken()) is not None:
                    if self._completed(work, await asyncio.to_thread(self._attempt, work)):
                        backoff.succeeded()
                    else:
                        await asyncio.sleep(backoff.wait_s())
        finally:
            self._stopping.set()

    def clean(self) -> bool:
        """Clean up now, in this thread; returns whether nothing is left to do."""
        work = self._taken()
        return work is None or self._completed(work, self._attempt(work))

    def _taken(self) -> CleanUp | None:
        with self._lock:
            backlog, self._backlog, self._newer = self._backlog, Backlog(), dict(self._underway)
            return backlog.clean_up(self._served)

    def _wake(self) -> None:
        if self._loop is None:
            self._woken.set()
        else:
            self._loop.call_soon_threadsafe(self._woken.set)

    def _commit(self, udp: Served, concerned: set[Key], outcome: Outcome) -> None:
        """The kernel serves `udp` of those `concerned`, but for what was refused."""
        self._relays = outcome.relays
        refused = {refusal.service for refusal in outcome.refused if not refusal.partly}
        for key in concerned:
            new = udp.get(key) if key[0].service not in refused else None
            change = Change(self._served.pop(key, None), new)
            if new is not None:
                self._served[key] = new
            if (change.old or change.new) and can_be_stale(change):
                self._backlog.note(change)

    def _attempt(self, work: CleanUp) -> OSError | None:
        """End what is stale. Touches nothing that commits change, as they go on meanwhile."""
        try:
            may_answer = answering(work.changes(), self._node_ports(work), work.abandoned, self._relays)
            for family, of_family in may_answer.items():
                self._end_in(family, of_family)
        except OSError as error:
            return error
        return None

    def _completed(self, work: CleanUp, error: OSError | None) -> bool:
        if error is not None:
            _log.warning("stale UDP flows not deleted", error=str(error))
            with self._lock:
                self._backlog.put_back(work)
            self._failed = True
            self._found(_inaccessible(error))
            return False
        if work.complete:
            self._looked_s = self._clock()
        if self._failed:
            self._failed = False
            self._found(None)
        return True

    def _end_in(self, family: Family, may_answer: Answering) -> None:
        started = self._clock()
        reasons: Counter[Stale] = Counter()
        try:
            stale = self._stale(family, may_answer)
            while (batch := list(islice(stale, BATCH))) and not self._stopping.is_set():
                self._delete(family, batch, may_answer, reasons)
        finally:
            if reasons:
                deleted = {why.value: number for why, number in reasons.items()}
                _log.info("stale UDP flows deleted", family=f"IPv{family.value}", **deleted)
            self._ended(family, reasons, self._clock() - started)

    def _stale(self, family: Family, may_answer: Answering) -> Iterator[Flow]:
        lookups: Sequence[Lookup | None] = may_answer.lookups()
        for lookup in lookups if len(lookups) <= LOOKUPS else (None,):
            yield from (flow for flow in self._table.flows(family, lookup) if may_answer.why(flow))

    def _delete(self, family: Family, batch: Iterable[Flow], may_answer: Answering, reasons: Counter[Stale]) -> None:
        """A flow that came up meanwhile may go where only a newer commit sends it: its answer would find no flow."""
        with self._lock:
            newer = [each for each in self._newer.values() if each.family is family]
        for each in newer:
            may_answer.admit(each)
        gone = [(flow, why) for flow in batch if (why := may_answer.why(flow))]
        if gone:
            self._table.delete(family, [flow for flow, _ in gone])
            reasons.update(why for _, why in gone)

    def _node_ports(self, work: CleanUp) -> NodePortAddresses:
        used = any(frontends.node_port for frontends in (*work.served, *work.former))
        if not used and all(destination.address for destination in work.abandoned):
            return NodePortAddresses()
        settings = self._settings or Settings()
        serving = frozenset(self._local_among(settings.node_port_addresses))
        former = frozenset(address for addresses in work.node_ports for address in self._local_among(addresses))
        return NodePortAddresses(serving, former - serving, loopback=settings.localhost_node_ports)

    def _local_among(self, addresses: Sequence[Address]) -> Iterator[Address]:
        """These, with every address of the node in place of ANY."""
        yield from (address for address in addresses if address not in ANY.values())
        yield from (address for address in self._local() if ANY[family_of(address)] in addresses)


def _inaccessible(error: OSError) -> Finding:
    text = (
        f"stale UDP flows cannot be deleted: {error.strerror or error}; load the module nf_conntrack_netlink if the kernel lacks it, "
        "and give the agent CAP_NET_ADMIN; clients that never stop sending may reach endpoints that are gone"
    )
    return Finding(Topic.CONNTRACK, "ConntrackNotAccessible", text)
