"""When kube-proxy's rules are compared, and what is reported."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

import pytest
from tests.support.polling import soon
from tests.unit.agent.examples import NODE, service

from proxyconfig_agent.checks.shadow.iptables import Chains, desired
from proxyconfig_agent.checks.shadow.observer import Compare, Observed, Observer
from proxyconfig_agent.checks.shadow.round import compare
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_api.status.shadow import Shadow

OBSERVED = Observed(Settings(), ())


class Found:
    """What an observer reads, and what it reports."""

    def __init__(self) -> None:
        self.cluster = ClusterState(NODE)
        self.cluster.put_service(service())
        view = self.cluster.view()
        self.ports = [port for name in view.names() for port in view.select(name).ports]
        self.reads = 0
        self.stale_reads = 0
        self.told: list[Shadow | None] = []
        self.loads = 0
        self.observer = Observer(self._load, self.told.append)

    def _load(self) -> Compare:
        self.loads += 1
        return partial(compare, self.cluster, self._read)

    def _read(self) -> dict[Family, Chains]:
        self.reads += 1
        ports = [] if self.reads <= self.stale_reads else self.ports
        return {family: desired([port for port in ports if port.family is family], Settings(), family) for family in Family}


@contextlib.asynccontextmanager
async def running(found: Found) -> AsyncIterator[None]:
    task = asyncio.create_task(found.observer.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_nothing_is_loaded_or_read_on_a_node_that_does_not_observe() -> None:
    found = Found()
    async with running(found):
        await asyncio.sleep(0)
    assert (found.loads, found.reads, found.told) == (0, 0, [])


async def test_an_observer_that_cannot_be_loaded_is_an_error_of_the_agent() -> None:
    def load() -> Compare:
        raise ImportError("no such module")

    observer = Observer(load, list[Shadow | None]().append)
    observer.observe(OBSERVED)
    with pytest.raises(ImportError):
        await observer.run()


async def test_a_score_is_told_and_taken_back_at_the_end() -> None:
    found = Found()
    async with running(found):
        found.observer.observe(OBSERVED)
        await soon(lambda: bool(found.told))
        found.observer.observe(None)
    assert found.loads == 1
    first, last = found.told
    assert first is not None
    assert (first.score, last) == ("100%", None)


async def test_what_kube_proxy_learns_a_moment_later_is_no_difference() -> None:
    found = Found()
    found.stale_reads = 1
    async with running(found):
        found.observer.observe(OBSERVED)
        await soon(lambda: bool(found.told))
    assert found.reads == 2
    assert found.told[0] is not None
    assert found.told[0].score == "100%"


async def test_a_service_that_differs_twice_is_named() -> None:
    found = Found()
    found.stale_reads = 2
    async with running(found):
        found.observer.observe(OBSERVED)
        await soon(lambda: bool(found.told))
    assert found.told[0] is not None
    assert found.told[0].differing == 1
