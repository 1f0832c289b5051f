"""One comparison of all Services: in a thread, and with pauses, since nothing of it is urgent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from proxyconfig_agent.checks.shadow.comparison import Compared, KubeProxyRules, compared, differences
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.observer import Observed
from proxyconfig_agent.checks.shadow.report import shadow_of
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.view import ClusterView
from proxyconfig_api.status.shadow import Shadow

AGAIN_S = 5.0
"""After which a Service that differs is compared again: kube-proxy and the agent do not learn of a change at the same moment."""

SHARE = 0.1
"""Of one CPU, at most, while a comparison goes on."""

SLICE_S = 0.05
"""Of CPU, after which there is a pause within a Service, too; one flow is not divided."""

Theirs = Mapping[Family, KubeProxyRules]
Read = Callable[[], Theirs]
T = TypeVar("T")


async def compare(cluster: ClusterState, read: Read, observed: Observed) -> Shadow:
    """Compare the rules that `read` returns with the agent's own ones; `read` blocks."""
    view = cluster.snapshot()
    found = await _compared(view.names(), view, read, observed)
    if differing := [each.service for each in found if each.difference]:
        await asyncio.sleep(AGAIN_S)
        again = {each.service: each for each in await _compared(differing, cluster.snapshot(), read, observed)}
        found = [again.get(each.service, each) for each in found]
    return shadow_of(found)


async def _compared(names: Iterable[ServiceName], view: ClusterView, read: Read, observed: Observed) -> list[Compared]:
    theirs, node = await _slowly(read), NodeAddresses(observed.local)
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
