"""A controller that writes a thousand times a second: its updates are gathered, memory stays, and the event loop has time for others."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.polling import soon
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.examples import NODE, service
from tests.unit.client.fakeserver import PATH, FakeServer, event, served

from proxyconfig_agent.dataplane.port import Change, Outcome, Settings
from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncResult
from proxyconfig_agent.sync.runner import Runner
from proxyconfig_agent.sync.schedule import SyncIntervals
from proxyconfig_agent.watch.handlers import EndpointSliceHandler
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock
from proxyconfig_client.watch.reflector import Reflector

SECONDS, PER_SECOND, BURST = 3.0, 1000, 10
COMMIT_S = 0.005
"""More than the kernel takes for a few elements; iptables takes ten times that."""


class SlowDataplane(FakeDataplane):
    def apply(self, changes: Iterable[Change]) -> Outcome:
        time.sleep(COMMIT_S)
        return super().apply(changes)


class Rig:
    def __init__(self, services: int) -> None:
        self.dataplane, self.told, self.server = SlowDataplane(), list[SyncResult](), FakeServer()
        self.cluster = ClusterState(NODE)
        for number in range(services):
            self.cluster.put_service(service(f"s{number}", f"10.96.{number // 250}.{number % 250 + 1}"))
        clock, backoff = Clock(), Backoff()
        self.runner = Runner(
            self.cluster,
            Programmed(),
            self.dataplane,
            Settings(),
            self.told.append,
            intervals=SyncIntervals(),
            clock=clock,
            backoff=backoff,
        )
        self._sent = 0
        self.works_s: list[float] = []
        """Between two beats of the event loop, in CPU time: others may use the machine, too."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with served(self.server) as connection:
            decode = msgspec.json.Decoder(apitypes.EndpointSlice, strict=False).decode
            reflector = Reflector(connection, PATH, decode, EndpointSliceHandler(self.cluster, self.runner.wake))
            tasks = [asyncio.create_task(each) for each in (reflector.run(), self.runner.run(), self._beat())]
            try:
                await soon(lambda: self.server.open_streams == 1 and reflector.synced.is_set())
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def served(self) -> dict[str, bytes]:
        """The endpoint of each Service, as programmed."""
        return {one.name.service.name: one.cluster for one in self.dataplane.state.values()}

    async def _beat(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.01)
            self.works_s.append(time.thread_time() - before)

    async def storm(self, services: int) -> int:
        """Update the slices of so many Services, one after the other; returns how many updates it was: a second's at least, however
        busy the machine is."""
        started, sent = time.monotonic(), 0
        while time.monotonic() < started + SECONDS or sent < PER_SECOND:
            await self.server.say(b"".join(event("MODIFIED", slice_of(sent + one, services, self._sent + one)) for one in range(BURST)))
            sent, self._sent = sent + BURST, self._sent + BURST
            await asyncio.sleep(max(0.0, started + sent / PER_SECOND - time.monotonic()))
        return sent


def slice_of(update: int, services: int, before: int = 0) -> dict[str, Any]:
    """In a controller's loop an endpoint is ready, and not, and so on; another one is there from the last update on.

    `before`: so many updates were sent before."""
    name = f"s{update % services}"
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": name},
            "resourceVersion": str(1000 + before),
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": f"2026-01-01T00:00:{update % 60:02}Z"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [f"10.{update >> 16 & 255}.{update >> 8 & 255}.{update & 255}"], "nodeName": f"node-{update % 7}"}],
    }


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.parametrize("services", [pytest.param(1, id="one-service"), pytest.param(1000, id="many-services")])
async def test_a_thousand_updates_a_second_are_gathered_in_bounded_memory(services: int) -> None:
    rig = Rig(services)
    async with rig.running():
        await soon(lambda: len(rig.told) == 1)
        await rig.storm(services)  # what is allocated once is there now
        before_mib, before_syncs = resident_mib(), len(rig.told)
        started = time.monotonic()
        sent = await rig.storm(services)
        await soon(lambda: rig.served() == last(sent, services))
        took_s = time.monotonic() - started
        syncs, grown_mib = len(rig.told) - before_syncs, resident_mib() - before_mib
    assert syncs <= took_s / (3 * COMMIT_S) + 5  # the rest is twice as long as a commit
    assert grown_mib < 8
    assert sorted(rig.works_s)[-3] < 0.5  # a virtual machine that is halted for a moment takes that for work


def last(sent: int, services: int) -> dict[str, bytes]:
    """What each Service's endpoint is after so many updates."""
    endpoints = {}
    for update in range(sent - min(services, sent), sent):
        address = slice_of(update, services)["endpoints"][0]["addresses"][0]
        endpoints[f"s{update % services}"] = bytes(map(int, address.split("."))) + (8080).to_bytes(2)
    return endpoints
