"""The userspace mode as on a kernel without nf_tables: what is special about chains of iptables that lead to the proxy process."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.kernel.in_namespace import Entered
from tests.kernel.traffic.inprocess import Pipeline, removed_at_the_end
from tests.kernel.traffic.stories import endpoint, service, slices, story, the_service
from tests.support.netns.peers import Prober
from tests.support.netns.talker import Talker
from tests.support.netns.topology import NODE, PODS, Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.combined.userspace_by_iptables import UserspaceByIptables
from proxyconfig_agent.dataplane.modes import modes
from proxyconfig_agent.dataplane.modes.takeover import AllModes, Takeover
from proxyconfig_agent.dataplane.port import Change, Installed, Lifecycle, ModeInstance, Settings
from proxyconfig_agent.dataplane.userspace.kernel import processes
from proxyconfig_agent.sync.result import SyncReason
from proxyconfig_api.spec.sections import Mode

pytestmark = pytest.mark.kernel

TALKING = 7070

by_iptables = partial(UserspaceByIptables, "")


@pytest.fixture
def mode(world: Topology) -> Iterator[ModeInstance]:
    with removed_at_the_end(world, by_iptables) as made:
        yield made


@pytest.fixture
def pipeline(world: Topology, mode: ModeInstance) -> Pipeline:
    return Pipeline(world, mode, CONFIGS["default"], "userspace")


def reached(prober: Prober, address: str) -> set[str]:
    (answers,) = prober.ask([{"address": address, "port": 80, "protocol": "tcp", "again": 4, "patience_s": 10}])
    return {answer.split()[0] for answer in answers}


def entered(world: Topology, other: Lifecycle) -> Lifecycle:
    return Entered(world.node, lambda: cast(ModeInstance, other))


def installed(world: Topology, mode: Mode) -> Installed:
    """As the agent does it, but for the rules of userspace mode, on this kernel that has nf_tables."""
    made = Entered(world.node, by_iptables if mode is Mode.USERSPACE else modes.spec_of(mode).make)

    def others() -> Iterator[Lifecycle]:
        for other in world.node.call(lambda: list(modes.left_behind(besides=mode))):
            yield entered(world, other)

    takeover = Takeover(made, others)
    return Installed(takeover, AllModes(made, others, takeover), takeover)


def test_a_change_of_an_endpoint_is_the_processs_business_alone(pipeline: Pipeline, probers: Mapping[str, Prober]) -> None:
    before, after = story((service(), slices(endpoint("near1"))), (slices(endpoint("far1")),))
    pipeline.apply(before)
    address = the_service(before)["spec"]["clusterIPs"][0]
    assert reached(probers["client"], address) == {"near1"}

    pipeline.apply(after)
    assert reached(probers["client"], address) == {"far1"}
    assert pipeline.syncs[-1].operations == 0


def test_an_endpoint_that_is_the_service_itself_does_not_go_round_in_circles(pipeline: Pipeline, world: Topology) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    address = the_service(objects)["spec"]["clusterIPs"][0]
    for one in slices_of(objects):
        if one["addressType"] == "IPv4":
            one["ports"] = [{**port, "port": 80} for port in one["ports"]]
            one["endpoints"][0]["addresses"] = [address]
    pipeline.apply(objects)

    (process,) = (name.rpartition("/")[2] for name in world.node.call(processes.found))
    with world["client"].call(socket.socket) as client:
        client.settimeout(30)
        with contextlib.suppress(OSError):
            client.connect((address, 80))
            client.recv(1)
    assert len(os.listdir(f"/proc/{process}/fd")) < 100


def test_what_somebody_deletes_comes_back_and_so_does_the_process(pipeline: Pipeline, world: Topology, mode: ModeInstance) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    pipeline.apply(objects)
    assert not mode.disturbed()
    world.node.run("iptables", "-t", "nat", "-F", "KUBE-SERVICES")
    for name in world.node.call(processes.found):
        os.kill(int(name.rpartition("/")[2]), 9)
    eventually(lambda: not world.node.call(processes.found))
    assert mode.disturbed()

    pipeline.runner.resync(SyncReason.PERIOD)
    sync = pipeline.sync()
    assert sync is not None
    assert "proxy processes" in sync.repaired
    assert "rules" in sync.repaired
    assert not mode.disturbed()


def test_a_service_that_the_agent_fails_on_is_set_aside_and_all_others_are_served(mode: ModeInstance) -> None:
    good, bad = frontends("good", "10.96.0.3", ("10.244.0.1:8080",)), frontends("bad", "10.96.0.2", ("10.244.0.1:8080",))
    text: Any = "10.244.0.1:8080"
    settings = Settings(proxy_addresses=(ip(NODE.v4),))
    outcome = mode.resync(settings, [replace(bad, cluster=text), good])
    assert [refusal.service.name for refusal in outcome.refused] == ["bad"]
    assert mode.apply([Change(None, bad)]).refused == ()


def test_iptables_mode_and_userspace_mode_take_the_chains_over_from_each_other(world: Topology, probers: Mapping[str, Prober]) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    address = the_service(objects)["spec"]["clusterIPs"][0]
    for each, has_process in ((Mode.IPTABLES, False), (Mode.USERSPACE, True), (Mode.IPTABLES, False)):
        made = installed(world, each)
        Pipeline(world, made.dataplane, CONFIGS["default"], each.value).apply(objects)
        assert reached(probers["client"], address) == {"near1"}
        # A process that retires ends with its last connection.
        eventually(lambda: bool(world.node.call(processes.found)), within_s=60, until=lambda found, expected=has_process: found is expected)  # type: ignore[misc]
        assert ("-j MASQUERADE" in world.node.run("iptables-save", "-t", "nat")) is not has_process
        made.lifecycle.close()

    removed(world, Mode.IPTABLES)


@pytest.mark.parametrize("new", [Mode.IPTABLES, Mode.NFTABLES])
def test_connections_outlive_a_change_to_another_mode_and_the_process_ends_with_the_last(world: Topology, new: Mode) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    address = the_service(objects)["spec"]["clusterIPs"][0]
    for one in slices_of(objects):
        one["ports"] = [{**port, "port": TALKING} for port in one["ports"]]
    former = installed(world, Mode.USERSPACE)
    Pipeline(world, former.dataplane, CONFIGS["default"], "userspace").apply(objects)
    with contextlib.closing(Talker(world["near1"], "near1", PODS["near1"].v4, TALKING)):
        with world["client"].call(socket.create_connection, (address, 80), 60) as client:
            assert asked(client) == b"near1"
            former.lifecycle.close()

            changed = installed(world, new)
            pipeline = Pipeline(world, changed.dataplane, CONFIGS["default"], new.value)
            pipeline.apply(objects)
            assert not changed.succession.is_alone()
            assert asked(client) == b"near1"
        eventually(lambda: world.node.call(processes.found), within_s=60, until=[].__eq__)
        changed.dataplane.disturbed()
        assert changed.succession.is_alone()
        changed.lifecycle.close()
    removed(world, new)


def slices_of(objects: Mapping[Key, Object]) -> Iterator[Object]:
    return (one for (kind, _, _), one in objects.items() if kind == "EndpointSlice")


def asked(client: socket.socket) -> bytes:
    client.sendall(b"?")
    return client.recv(100)


def removed(world: Topology, mode: Mode) -> None:
    """Nothing is left when this mode, the last one, has gone."""
    last = installed(world, mode)
    last.lifecycle.remove()
    assert last.lifecycle.scan() == []
    last.lifecycle.close()
    assert "KUBE-" not in world.node.run("iptables-save")
