"""The status of this node's NodeProxy: made from the node's state (pure), and written on transitions only.

5,000 agents share one API server: a counter alone is written once a minute at most, anything else once a second at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import structlog

from proxyconfig_agent.report.conditions import QUARANTINED_LIMIT, NodeState, Verdict, verdicts
from proxyconfig_client.backoff import Backoff
from proxyconfig_client.errors import ClientError

TRANSITION_S = 1.0
COUNTERS_S = 60.0

_COUNTERS = ("services", "endpoints")

_log = structlog.get_logger("nodeproxy")

Status = dict[str, Any]
"""A NodeProxy's status as the API takes it."""


@dataclass(frozen=True, slots=True)
class Since:
    """The status of a condition, and since when it has that (RFC 3339)."""

    status: bool
    at: str


def since_of(conditions: Iterable[Mapping[str, Any]]) -> dict[str, Since]:
    """The times in the conditions of a status, by type: what is to be carried on over a restart of the agent."""
    return {each["type"]: Since(each["status"] == "True", each["lastTransitionTime"]) for each in conditions}


def status_of(state: NodeState, before: Mapping[str, Since], now_s: float) -> Status:
    """The status that says `state`; a condition that is as it was `before` keeps its time."""
    status: Status = {
        "observedGeneration": state.generation,
        "observedRevision": state.revision,
        "mode": state.mode,
        "version": state.version,
        "services": state.services,
        "endpoints": state.endpoints,
        "quarantined": [{"service": str(each.service), "reason": each.reason} for each in state.refused[:QUARANTINED_LIMIT]],
        "capabilities": dict(state.capabilities),
        "drift": {"repairs": state.drift.repairs},
        "conditions": [_condition(each, state.generation, before.get(each.type), now_s) for each in verdicts(state)],
    }
    if state.drift.last_repair_s:
        status["drift"] |= {"lastRepair": _stamp(state.drift.last_repair_s), "what": state.drift.what}
    if state.removed_objects is not None:
        status["removed"] = {"objects": state.removed_objects}
    return {field: value for field, value in status.items() if value != ""}


def _condition(verdict: Verdict, generation: int, before: Since | None, now_s: float) -> dict[str, Any]:
    return {
        "type": verdict.type,
        "status": "True" if verdict.status else "False",
        "reason": verdict.reason,
        "message": verdict.message,
        "observedGeneration": generation,
        "lastTransitionTime": before.at if before and before.status == verdict.status else _stamp(now_s),
    }


def only_counters(old: Status, new: Status) -> bool:
    """Whether nothing but counters differs: no transition, so it can wait."""
    return {key: value for key, value in old.items() if key not in _COUNTERS} == {
        key: value for key, value in new.items() if key not in _COUNTERS
    }


def _stamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Reporter:
    """Writes the newest state that it was told. `write` applies a status; `clock` returns Unix seconds."""

    def __init__(self, write: Callable[[Status], Awaitable[None]], clock: Callable[[], float], before: Mapping[str, Since]) -> None:
        self._write, self._clock, self._before = write, clock, dict(before)
        self._told: NodeState | None = None
        self._written: Status | None = None
        self._written_s = 0.0
        self._news = asyncio.Event()

    def tell(self, state: NodeState) -> None:
        """This is how the node is now. Cheap: the newest counts, nothing is written here."""
        if state != self._told:
            self._told = state
            self._news.set()

    async def run(self) -> None:
        """Write what is told, until cancelled. An API server that is away is tried again with growing pauses."""
        backoff = Backoff(first_s=1.0, cap_s=60.0)
        while True:
            await self._news.wait()
            if (pause_s := self._due_s() - self._clock()) > 0:
                self._news.clear()
                await self._sooner(pause_s)
                continue
            if await self.flush():
                backoff.succeeded()
            else:
                await asyncio.sleep(backoff.wait_s())

    async def flush(self) -> bool:
        """Write the newest state now, if it was not yet; tell whether the API server has it."""
        self._news.clear()
        status = self._status()
        if status is None or status == self._written:
            return True
        try:
            await self._write(status)
        except (ClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("status not written", error=str(error) or type(error).__name__)
            self._news.set()
            return False
        self._written, self._written_s = status, self._clock()
        self._before = since_of(status["conditions"])
        return True

    def _status(self) -> Status | None:
        return status_of(self._told, self._before, self._clock()) if self._told else None

    def _due_s(self) -> float:
        """When the newest state is to be written: 0 for the first one."""
        status = self._status()
        if self._written is None or status is None:
            return 0.0
        return self._written_s + (COUNTERS_S if only_counters(self._written, status) else TRANSITION_S)

    async def _sooner(self, pause_s: float) -> None:
        """Wait until the time is up; news in between may be more urgent."""
        try:
            await asyncio.wait_for(self._news.wait(), pause_s)
        except TimeoutError:
            self._news.set()
