"""Compares, Service by Service, for as long as the node observes: in a thread, and with pauses, since nothing of it is urgent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NoReturn, TypeVar

from msgspec import Struct

from proxyconfig_agent.checks.shadow.comparison import Compared, KubeProxyRules, compared, differences
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.report import shadow_of
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.view import ClusterView
from proxyconfig_api.status.shadow import Shadow

ROUND_S = 60.0
"""Between two comparisons of all Services."""

AGAIN_S = 5.0
"""After which a Service that differs is compared again: kube-proxy and the agent do not learn of a change at the same moment."""

SHARE = 0.1
"""Of one CPU, at most, while a comparison goes on."""

SLICE_S = 0.05
"""Of CPU, after which there is a pause within a Service, too; one flow is not divided."""

Theirs = Mapping[Family, KubeProxyRules]
Read = Callable[[], Theirs]
T = TypeVar("T")


class Observed(Struct, frozen=True):
    """What the agent's own rules depend on."""

    settings: Settings
    local: Sequence[LocalAddress]


class Observer:
    """`read` blocks; `tell` gets what each round finds, and None when the node does not observe any more."""

    def __init__(self, cluster: ClusterState, read: Read, tell: Callable[[Shadow | None], None]) -> None:
        self._cluster, self._read, self._tell = cluster, read, tell
        self._observed: Observed | None = None
        self._begun = asyncio.Event()

    def observe(self, observed: Observed | None) -> None:
        """Compare with this from now on; None: nothing."""
        if self._observed is not None and observed is None:
            self._tell(None)
        self._observed = observed
        if observed is None:
            self._begun.clear()
        else:
            self._begun.set()

    async def run(self) -> NoReturn:
        while True:
            await self._begun.wait()
            if (observed := self._observed) is not None:
                await self._round(observed)
            await asyncio.sleep(ROUND_S)

    async def _round(self, observed: Observed) -> None:
        view = self._cluster.snapshot()
        found = await self._compare(view.names(), view, observed)
        if differing := [each.service for each in found if each.difference]:
            await asyncio.sleep(AGAIN_S)
            again = {each.service: each for each in await self._compare(differing, self._cluster.snapshot(), observed)}
            found = [again.get(each.service, each) for each in found]
        if self._observed is observed:
            self._tell(shadow_of(found))

    async def _compare(self, names: Iterable[ServiceName], view: ClusterView, observed: Observed) -> list[Compared]:
        theirs, node = await _slowly(self._read), NodeAddresses(observed.local)
        return [compared(name, await _all(_of_service(name, view, theirs, observed.settings, node))) for name in names]


def _of_service(name: ServiceName, view: ClusterView, theirs: Theirs, settings: Settings, node: NodeAddresses) -> Iterator[str]:
    yield from differences(view.select(name).ports, theirs, settings, node)


async def _all(flows: Iterator[str]) -> list[str]:
    found, last = list[str](), False
    while not last:
        some, last = await _slowly(partial(_some, flows))
        found += some
    return found


def _some(flows: Iterator[str]) -> tuple[list[str], bool]:
    """As many as are compared in a slice, and whether those are the last."""
    found, end = list[str](), time.thread_time() + SLICE_S
    for each in flows:
        found.append(each)
        if time.thread_time() >= end:
            return found, False
    return found, True


async def _slowly(work: Callable[[], T]) -> T:
    """In a thread, and a pause after it."""
    result, took_s = await asyncio.to_thread(_timed, work)
    await asyncio.sleep(took_s / SHARE)
    return result


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """With the seconds of CPU that it took."""
    begun = time.thread_time()
    return work(), time.thread_time() - begun
