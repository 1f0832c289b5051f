"""The other proxy of the node, as the controller knows it: looked for at once, and then from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from proxyconfig_agent.checks.shadow.observer import Observer
from proxyconfig_agent.checks.shadow.reader import read
from proxyconfig_agent.controller.stance import Stance
from proxyconfig_agent.controller.step import Stand
from proxyconfig_agent.node.other_proxies.other_proxies import Seen, finding_of, waiting_finding
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Source
from proxyconfig_agent.watch.desired import Desired

LOOK_S = 60.0
WAITING_S = 2.0
"""Between two looks while the agent waits for the end of the other proxy."""

GONE = 2
"""So many looks in a row have to see none before one that was there counts as ended: it may have been too busy to answer."""

_log = structlog.get_logger("neighbour")


class Neighbour:
    """`look` blocks; `has_rules`: whether an earlier agent left rules; `changed` is called when the next step may be another one."""

    def __init__(
        self,
        look: Callable[[], Seen],
        cluster: ClusterState,
        recorder: StatusRecorder,
        *,
        has_rules: Callable[[], Awaitable[bool]],
        changed: Callable[[], None],
    ) -> None:
        self._look, self._recorder, self._has_rules, self._changed = look, recorder, has_rules, changed
        self._seen, self._misses, self._waiting = Seen(), 0, asyncio.Event()
        self.observer = Observer(cluster, read, lambda shadow: recorder.update(shadow=shadow))
        self.runs: bool | None = None
        """Whether a kube-proxy runs; None: not looked yet."""
        self.serves = False
        """Whether rules of an agent are on the node, as far as the controller has to know."""
        self.stands: Stand | None = None
        """Why nothing of the node is changed, as reported."""

    async def run(self) -> NoReturn:
        """Look until cancelled."""
        while True:
            await self._take(await asyncio.to_thread(self._look))
            await self._pause()

    def stand(self, stand: Stand, applied: Callable[[Desired], Desired | None]) -> None:
        """Nothing of the node is changed from now on. `applied` returns what is to be reported as what the node does."""
        if self.stands is None or stand.stance is not self.stands.stance:
            _log.info("the node is left to kube-proxy", stance=stand.stance.value, mode=self._seen.mode)
        self.stands = stand
        self.observer.observe(stand.observed)
        self._report_stance()
        self._waiting.set()
        if stand.stance is Stance.OBSERVE and (reported := applied(stand.desired)) is not None:
            self._recorder.applied(reported)

    def serve(self) -> None:
        """The agent programs the node from now on."""
        self._end(serves=True)

    def removed(self) -> None:
        """The agent has no rules on the node any more."""
        self._end(serves=False)

    def _end(self, *, serves: bool) -> None:
        self.serves, self.stands = serves, None
        self.observer.observe(None)
        self._waiting.clear()
        self._report_stance()

    async def _take(self, seen: Seen) -> None:
        self._seen, before = seen, self.runs
        self._misses = 0 if seen.mode else self._misses + 1
        runs = bool(seen.mode) or (bool(before) and self._misses < GONE)
        if before is None and runs:
            self.serves = self.serves or await self._has_rules()
        finding = finding_of(seen)
        self._recorder.set_findings(Source.OTHER_PROXIES, *([finding] if finding is not None else []))
        self.runs = runs
        self._report_stance()
        if runs is not before:
            self._changed()

    def _report_stance(self) -> None:
        waits = self.stands is not None and self.stands.stance is Stance.WAIT
        self._recorder.set_findings(Source.TAKEOVER, *([waiting_finding(self._seen)] if waits else []))
        self._recorder.update(observing=self.stands is not None and self.stands.stance is Stance.OBSERVE)

    async def _pause(self) -> None:
        """Until the next look is due; sooner where the agent begins to wait."""
        if not self._waiting.is_set():
            try:
                await asyncio.wait_for(self._waiting.wait(), LOOK_S)
            except TimeoutError:
                return
        await asyncio.sleep(WAITING_S)
