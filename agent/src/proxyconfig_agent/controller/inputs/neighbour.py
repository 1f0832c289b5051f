"""The other proxy of the node, as the controller knows it: looked for at once, and then from time to time; what one has left is removed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

import structlog

from proxyconfig_agent.checks.shadow.observer import Compare, Observer
from proxyconfig_agent.controller.inputs.other_proxy import OtherProxy
from proxyconfig_agent.controller.stance import Stance
from proxyconfig_agent.controller.step import Stand
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.node.other_proxies.other_proxies import NOTHING, Seen, named, waiting_finding
from proxyconfig_agent.node.other_proxies.proxy_remains import GONE, Remains, discarded, failed, looked
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Source
from proxyconfig_agent.sync.worker import in_thread
from proxyconfig_agent.watch.desired import Desired

LOOK_S = 60.0
WAITING_S = 2.0
"""Between two looks while the end of the other proxy is waited for, or not certain yet."""

_log = structlog.get_logger("neighbour")


class Neighbour:
    """`has_rules`: whether an earlier agent left rules; `changed` is called when the next step may be another one."""

    def __init__(
        self,
        other: OtherProxy,
        cluster: ClusterState,
        recorder: StatusRecorder,
        *,
        has_rules: Callable[[], Awaitable[bool]],
        changed: Callable[[], None],
    ) -> None:
        self._other, self._recorder, self._has_rules, self._changed = other, recorder, has_rules, changed
        self._remains, self._waiting, self._one = Remains(), asyncio.Event(), asyncio.Lock()
        self.observer = Observer(partial(_comparison, cluster), lambda shadow: recorder.update(shadow=shadow))
        self.runs: bool | None = None
        """Whether a kube-proxy runs; None: not looked yet."""
        self.serves = False
        """Whether rules of an agent are on the node, as far as the controller has to know."""
        self.stands: Stand | None = None
        """Why nothing of the node is changed, as reported."""

    @property
    def left(self) -> Seen:
        """What a kube-proxy that has ended left, and nobody keeps up to date; nothing where one may run."""
        return self._remains.orphaned

    async def run(self) -> NoReturn:
        """Look until cancelled."""
        while True:
            async with self._one:
                await self._look_again()
            await self._pause()

    async def discard(self, left: Seen) -> None:
        """Remove this, unless a kube-proxy answers by now. What fails is tried again after the next look."""
        async with self._one:
            await self._look_again()
            if self._remains.seen.mode:
                return
            try:
                kept = await in_thread(partial(self._other.remove, left))
            except (DataplaneError, OSError) as error:
                _log.error("rules of kube-proxy not removed", error=str(error))
                await self._take(failed(self._remains, left, str(error) or type(error).__name__))
                return
            _log.info("rules of kube-proxy removed", what=named(left), kept=kept)
            self._recorder.discarded(named(left), kept)
            self._remains = discarded(self._remains, kept)
            await self._look_again()

    def stand(self, stand: Stand, applied: Callable[[Desired], Desired | None]) -> None:
        """Nothing of the node is changed from now on. `applied` returns what is to be reported as what the node does."""
        if self.stands is None or stand.stance is not self.stands.stance:
            _log.info("the node is left to kube-proxy", stance=stand.stance.value, mode=self._remains.seen.mode)
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

    async def _look_again(self) -> None:
        await self._take(looked(self._remains, await asyncio.to_thread(self._other.look)))

    async def _take(self, remains: Remains) -> None:
        had, before, self._remains = self.left, self.runs, remains
        runs = bool(remains.seen.mode) or (bool(before) and remains.misses < GONE)
        if before is None and runs:
            self.serves = self.serves or await self._has_rules()
        self._recorder.set_finding(Source.OTHER_PROXIES, remains.finding)
        self.runs = runs
        self._report_stance()
        if runs is not before or self.left != had:
            self._changed()

    def _report_stance(self) -> None:
        waits = self.stands is not None and self.stands.stance is Stance.WAIT
        self._recorder.set_findings(Source.TAKEOVER, *([waiting_finding(self._remains.seen)] if waits else []))
        self._recorder.update(observing=self.stands is not None and self.stands.stance is Stance.OBSERVE)

    async def _pause(self) -> None:
        """Until the next look is due; sooner where the agent begins to wait, or where one look has not found what was there."""
        ending = 0 < self._remains.misses < GONE and (self.runs or self._remains.seen != NOTHING)
        if not self._waiting.is_set() and not ending:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._waiting.wait()
            except TimeoutError:
                return
        await asyncio.sleep(WAITING_S)


def _comparison(cluster: ClusterState) -> Compare:
    # Both cost memory on nodes that do not observe.
    from proxyconfig_agent.checks.shadow.reader import read  # noqa: PLC0415
    from proxyconfig_agent.checks.shadow.round import compare  # noqa: PLC0415

    return partial(compare, cluster, read)
