"""From the bytes of a watch to the Event: an object that nobody can read is named, once, and everything else is served."""

from __future__ import annotations

import asyncio

import msgspec
from tests.support.polling import soon
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.examples import NODE
from tests.unit.client.fakeserver import PATH, FakeServer, event, served

from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder, StatusUpdate
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncResult
from proxyconfig_agent.sync.runner import Runner
from proxyconfig_agent.sync.schedule import SyncIntervals
from proxyconfig_agent.watch.handlers import ServiceHandler
from proxyconfig_client.apiserver.events import Events
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock
from proxyconfig_client.watch.reflector import Reflector


def service(name: str, version: int, **spec: object) -> bytes:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return event("MODIFIED", {"metadata": metadata, "spec": {"ports": [{"name": "http", "port": 80}], **spec}})


async def test_a_service_that_cannot_be_read_is_served_as_it_was_and_named_in_one_event() -> None:
    server, cluster, dataplane, clock = FakeServer(), ClusterState(NODE), FakeDataplane(), Clock()
    recorder = StatusRecorder(cluster, Metrics("0.1.0", "nftables"), Health(clock), "0.1.0", clock, spread_s=0.01)

    def record(sync: SyncResult) -> None:
        recorder.synced(StatusUpdate(sync))

    runner = Runner(cluster, Programmed(), dataplane, Settings(), record, intervals=SyncIntervals(), clock=clock, backoff=Backoff())
    sink = ServiceHandler(cluster, runner.wake)
    async with served(server) as connection:
        decode = msgspec.json.Decoder(apitypes.Service, strict=False).decode
        reflector = Reflector(connection, PATH, decode, sink, on_undecodable=sink.on_undecodable)
        running = (reflector.run(), runner.run(), recorder.post(Events(connection, "agent", "here"), "here"))
        tasks = [asyncio.create_task(each) for each in running]
        await soon(lambda: server.open_streams == 1 and reflector.synced.is_set())

        await server.say(service("bad", 101, clusterIP="10.96.0.1"))
        await soon(lambda: len(dataplane.state) == 1)
        for version in (102, 103):
            await server.say(service("bad", version, clusterIP="10.96.0.1", externalIPs={"not": "a list"}))
        await server.say(service("good", 104, clusterIP="10.96.0.2"))
        await soon(lambda: len(dataplane.state) == 2 and bool(server.created))
        (told,) = server.created.values()
        assert (told["regarding"]["name"], told["regarding"]["uid"], told["reason"]) == ("bad", "uid-bad", "Quarantined")
        assert told["note"] == "cannot be decoded: Expected `array | null`, got `object` - at `$.spec.externalIPs`"

        await server.say(service("bad", 105, clusterIP="10.96.0.3"))
        await soon(lambda: not recorder.state.refused)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert {str(name) for name, _ in dataplane.state} == {"shop/bad:http", "shop/good:http"}
    assert len(server.created) == 1
    assert reflector.counters.interruptions == 0
