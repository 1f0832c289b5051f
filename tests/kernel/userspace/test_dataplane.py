"""The userspace mode on the node under test: what is special about a mode with a proxy process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.traffic.inprocess import Pipeline, dataplane
from tests.kernel.traffic.stories import endpoint, service, slices, story, the_service
from tests.support.netns.peers import Answers, Prober
from tests.support.netns.topology import NODE, Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

from proxyconfig_agent.dataplane.port import ModeInstance
from proxyconfig_agent.dataplane.userspace.kernel import processes
from proxyconfig_agent.dataplane.userspace.model.table import TABLE
from proxyconfig_agent.dataplane.userspace.userspace import Userspace
from proxyconfig_agent.sync.result import SyncReason

pytestmark = pytest.mark.kernel


@pytest.fixture
def mode(world: Topology) -> Iterator[ModeInstance]:
    with dataplane(world, "userspace") as made:
        yield made


@pytest.fixture
def pipeline(world: Topology, mode: ModeInstance) -> Pipeline:
    return Pipeline(world, mode, CONFIGS["default"], "userspace")


def asked(prober: Prober, address: str, protocol: str = "tcp", port: int = 80, **more: object) -> Answers:
    (answers,) = prober.ask([{"address": address, "port": port, "protocol": protocol, "again": 4, "patience_s": 10, **more}])
    return answers


def serving(world: Topology) -> list[int]:
    """The processes that serve now."""
    return [int(name.rpartition("/")[2]) for name in world.node.call(processes.found)]


def test_the_other_ports_of_a_service_with_sctp_are_served_and_the_node_says_what_is_not(
    pipeline: Pipeline, probers: Mapping[str, Prober]
) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    pipeline.apply(objects)
    address = the_service(objects)["spec"]["clusterIPs"][0]

    assert {each.split()[0] for protocol in ("tcp", "udp") for each in asked(probers["client"], address, protocol)} == {"near1"}
    assert asked(probers["client"], address, "sctp") == {"REJECT": 1}
    (refusal,) = pipeline.syncs[-1].refused
    assert refusal.reason == (
        "not served in mode userspace, whose proxy has TCP and UDP only: live/web:web-sctp (SCTP); choose another mode for SCTP"
    )
    pipeline.runner.resync(SyncReason.PERIOD)
    sync = pipeline.sync()
    assert sync is not None
    assert (sync.refused, sync.operations) == ((refusal,), 0)


def test_a_process_that_ends_is_started_again_and_connections_wait_for_it(
    pipeline: Pipeline, world: Topology, mode: ModeInstance, probers: Mapping[str, Prober]
) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    pipeline.apply(objects)
    address = the_service(objects)["spec"]["clusterIPs"][0]
    (before,) = serving(world)
    assert not mode.disturbed()

    os.kill(before, signal.SIGKILL)
    eventually(mode.disturbed)
    probers["client"].send([{"address": address, "port": 80, "protocol": "tcp", "patience_s": 60}])
    pipeline.runner.resync(SyncReason.PERIOD)
    sync = pipeline.sync()
    assert sync is not None
    assert "1 proxy processes" in sync.repaired
    (answers,) = probers["client"].receive()
    assert {answer.split()[0] for answer in answers} == {"near1"}
    assert serving(world) != [before]


def test_a_process_that_is_left_alone_serves_on_until_the_mode_is_removed(world: Topology, probers: Mapping[str, Prober]) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    with contextlib.closing(Entered(world.node, Userspace)) as before:
        Pipeline(world, before, CONFIGS["default"], "userspace").apply(objects)
    address = the_service(objects)["spec"]["clusterIPs"][0]
    assert {answer.split()[0] for answer in asked(probers["client"], address)} == {"near1"}
    assert serving(world)

    with contextlib.closing(Entered(world.node, Userspace)) as other:
        assert any(line.startswith("process ") for line in other.scan())
        other.remove()
        assert other.scan() == []


def test_nobody_reaches_the_process_but_through_a_service(pipeline: Pipeline, world: Topology, probers: Mapping[str, Prober]) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    pipeline.apply(objects)
    listed = world.node.run("nft", "list", "chain", "ip", TABLE, "cluster")
    ports = {protocol: int(port) for protocol, port in re.findall(r"l4proto (tcp|udp) dnat to [\d.]+:(\d+)", listed)}
    assert set(ports) == {"tcp", "udp"}

    for client in ("outside", "client", "node"):
        for protocol, port in ports.items():
            assert asked(probers[client], NODE.v4, protocol, port) == {"REJECT": 1}


def test_an_endpoint_that_is_the_service_itself_does_not_go_round_in_circles(pipeline: Pipeline, world: Topology) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    address = the_service(objects)["spec"]["clusterIPs"][0]
    for (kind, _, _), one in objects.items():
        if kind == "EndpointSlice" and one["addressType"] == "IPv4":
            one["ports"] = [{**port, "port": 80} for port in one["ports"]]
            one["endpoints"][0]["addresses"] = [address]
    pipeline.apply(objects)

    (process,) = serving(world)
    client = world["client"].call(socket.socket)
    with client:
        client.settimeout(30)
        with contextlib.suppress(OSError):
            client.connect((address, 80))
            client.recv(1)
    assert len(os.listdir(f"/proc/{process}/fd")) < 100


def test_a_rule_that_somebody_deletes_comes_back(pipeline: Pipeline, world: Topology, mode: ModeInstance) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    pipeline.apply(objects)
    world.node.run("nft", "flush", "chain", "ip", TABLE, "cluster")
    world.node.run("nft", "flush", "map", "ip", TABLE, "services")
    assert mode.disturbed()

    pipeline.runner.resync(SyncReason.PERIOD)
    sync = pipeline.sync()
    assert sync is not None
    assert "2 rules" in sync.repaired
    assert "elements of services" in sync.repaired
