"""The status of this node's NodeProxy: made from the node's state (pure), and written on transitions only.

5,000 agents share one API server: anything but counters is written once a second at most. Counters alone wait for the second of the
minute that this agent has drawn, as one new Service changes the counters of all nodes at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec
import structlog

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.node.modules.module_states import summary
from proxyconfig_agent.report.status.conditions import NodeState, updates_of
from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.names import API_VERSION
from proxyconfig_api.objects.nodeproxy import QUARANTINED_LIMIT, Drift, Modules, NodeProxyStatus, Quarantined, Removed
from proxyconfig_api.status.conditions import Condition, updated
from proxyconfig_client.connection.errors import ClientError
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock

TRANSITION_S = 1.0
COUNTERS_S = 60.0

_log = structlog.get_logger("nodeproxy")


def status_of(state: NodeState, before: Iterable[Condition], now_s: float) -> NodeProxyStatus:
    """The status that says `state`; a condition that is as it was `before` keeps its time."""
    updates = updates_of(state)
    before = [each for each in before if each.type in {update.type for update in updates}]
    return NodeProxyStatus(
        observed_generation=state.generation,
        observed_revision=state.revision,
        change=state.change,
        mode=state.mode,
        version=state.version,
        shadow=state.shadow,
        services=state.services,
        endpoints=state.endpoints,
        quarantined=_quarantined(state.refused),
        capabilities=state.capabilities,
        modules=Modules(summary=summary(state.modules), items=state.modules),
        drift=_drift(state),
        removed=None if state.removed_objects is None else Removed(objects=state.removed_objects),
        conditions=updated(before, updates, state.generation, datetime.fromtimestamp(now_s, UTC)),
    )


def _quarantined(refused: Iterable[Refusal]) -> tuple[Quarantined, ...]:
    """Each Service once, as many as a status names."""
    reasons: dict[str, str] = {}
    for each in refused:
        before = reasons.get(name := str(each.service))
        reasons[name] = f"{before}; {each.reason}" if before else each.reason
    return tuple(Quarantined(service=name, reason=reason) for name, reason in islice(reasons.items(), QUARANTINED_LIMIT))


def _drift(state: NodeState) -> Drift:
    last_s = state.drift.last_repair_s
    return Drift(
        repairs=state.drift.repairs,
        last_repair=datetime.fromtimestamp(last_s, UTC).replace(microsecond=0) if last_s else None,
        what=state.drift.what,
    )


def only_counters(old: NodeProxyStatus, new: NodeProxyStatus) -> bool:
    """Whether nothing but counters differs: no transition, so it can wait."""
    return old == msgspec.structs.replace(new, services=old.services, endpoints=old.endpoints)


def body_of(node: str, status: NodeProxyStatus) -> dict[str, Any]:
    """What to apply at the NodeProxy's `status`. The API server would make null of an empty map where the last apply had keys, and
    refuse it."""
    fields = codec.builtins(status)
    fields["modules"]["items"] = [codec.filled(each) for each in fields["modules"]["items"]]
    parts = {name: codec.filled(fields[name]) for name in ("mode", "modules", "drift")}
    return {"apiVersion": API_VERSION, "kind": "NodeProxy", "metadata": {"name": node}, "status": codec.filled(fields | parts)}


class Reporter:
    """Writes the newest state. `write` applies a status (see `body_of`); `before` are the conditions of an earlier
    agent, whose times go on; `chance` draws from 0 to 1."""

    def __init__(
        self,
        write: Callable[[NodeProxyStatus], Awaitable[None]],
        clock: Clock,
        before: Iterable[Condition] = (),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._write, self._clock, self._before = write, clock, tuple(before)
        self._phase_s = COUNTERS_S * chance()
        self._counters_due_s: float | None = None
        self._failing = False
        self._told: NodeState | None = None
        self._written: NodeProxyStatus | None = None
        self._written_s = 0.0
        self._news, self._hurry = asyncio.Event(), asyncio.Event()

    def tell(self, state: NodeState) -> None:
        """This is how the node is now. Cheap: the newest counts, nothing is written here."""
        if state != self._told:
            self._told = state
            self._news.set()

    @property
    def is_current(self) -> bool:
        """The API server has the newest state, but for the pauses between writes."""
        return self._written is not None and not self._failing

    def again(self) -> None:
        """The object is a new one, and its status is empty."""
        self._written = None
        self._news.set()
        self._hurry.set()

    async def run(self) -> None:
        """Write the status until cancelled. An API server that does not answer is tried again with growing pauses."""
        backoff = Backoff(first_s=1.0, cap_s=60.0)
        while True:
            await self._news.wait()
            if (pause_s := self._due_s() - self._clock.monotonic()) > 0:
                self._news.clear()
                await self._sooner(pause_s)
                continue
            if await self.flush():
                backoff.succeeded()
            else:
                await self._rest(backoff.wait_s())

    async def _rest(self, wait_s: float) -> None:
        """Wait, unless there is a new object to write to."""
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()

    async def flush(self) -> bool:
        """Write the newest state now, if it was not yet; return whether the API server has it."""
        self._news.clear()
        status = self._status()
        if status is None or status == self._written:
            return True
        try:
            await self._write(status)
        except (ClientError, TimeoutError, OSError) as error:
            _log.warning("status not written", error=str(error) or type(error).__name__)
            self._news.set()
            self._failing = True
            return False
        self._written, self._written_s, self._counters_due_s = status, self._clock.monotonic(), None
        self._before, self._failing = status.conditions, False
        return True

    def _status(self) -> NodeProxyStatus | None:
        return status_of(self._told, self._before, self._clock.wall()) if self._told else None

    def _due_s(self) -> float:
        """When the newest state is to be written (monotonic seconds): 0 for the first one."""
        status = self._status()
        if self._written is None or status is None:
            return 0.0
        if not only_counters(self._written, status):
            return self._written_s + TRANSITION_S
        if self._counters_due_s is None:
            now = self._clock.monotonic()
            self._counters_due_s = now + (self._phase_s - now) % COUNTERS_S
        return self._counters_due_s

    async def _sooner(self, pause_s: float) -> None:
        """Wait until the time is up; news in between may be more urgent."""
        try:
            async with asyncio.timeout(pause_s):
                await self._news.wait()
        except TimeoutError:
            self._news.set()
