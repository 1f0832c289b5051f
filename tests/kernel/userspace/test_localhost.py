"""NodePorts on loopback addresses in nftables mode: the proxy process serves them, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.traffic.inprocess import Pipeline, removed_at_the_end
from tests.kernel.traffic.stories import Objects, endpoint, service, slices, story, the_service
from tests.support.netns.peers import Answers, Prober
from tests.support.netns.topology import Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS, Config

from proxyconfig_agent.dataplane.combined.nftables_with_localhost import NftablesWithLocalhost
from proxyconfig_agent.dataplane.port import ModeInstance
from proxyconfig_agent.dataplane.userspace.kernel import processes
from proxyconfig_agent.dataplane.userspace.proxy.control.names import ALL_SERVICES, LOCALHOST

pytestmark = pytest.mark.kernel

LOOPBACK = ("127.0.0.1", "127.1.2.3", "::1")
ON = Config("default", localhost_node_ports=True)


@pytest.fixture
def mode(world: Topology) -> Iterator[ModeInstance]:
    with removed_at_the_end(world, NftablesWithLocalhost) as made:
        yield made


@pytest.fixture
def objects() -> Objects:
    (made,) = story((service(type="NodePort"), slices(endpoint("near1"), endpoint("far1"))))
    return made


def node_port(objects: Objects) -> int:
    return next(int(port["nodePort"]) for port in the_service(objects)["spec"]["ports"] if port["protocol"] == "TCP")


def asked(prober: Prober, address: str, port: int, protocol: str = "tcp") -> Answers:
    (answers,) = prober.ask([{"address": address, "port": port, "protocol": protocol, "again": 4, "patience_s": 10}])
    return answers


def names(answers: Answers) -> set[str]:
    return {answer.split()[0] for answer in answers}


def test_loopback_addresses_of_both_families_reach_endpoints_here_and_elsewhere(
    world: Topology, mode: ModeInstance, objects: Objects, probers: Mapping[str, Prober]
) -> None:
    pipeline = Pipeline(world, mode, ON)
    pipeline.apply(objects)
    reached = set[str]()

    def both() -> bool:
        reached.update(names(asked(probers["node"], "127.0.0.1", node_port(objects))))
        return reached >= {"near1", "far1"}

    for address in LOOPBACK:
        for protocol in ("tcp", "udp"):
            assert names(asked(probers["node"], address, node_port(objects), protocol)) <= {"near1", "far1"}, (address, protocol)
    assert eventually(both)  # an endpoint that is slow to answer is left out for a while
    assert not mode.disturbed()
    address = the_service(objects)["spec"]["clusterIPs"][0]
    assert names(asked(probers["client"], address, 80)) <= {"near1", "far1"}


def test_a_service_that_goes_takes_its_node_port_along(
    world: Topology, mode: ModeInstance, objects: Objects, probers: Mapping[str, Prober]
) -> None:
    pipeline = Pipeline(world, mode, ON)
    pipeline.apply(objects)
    assert names(asked(probers["node"], "::1", node_port(objects))) <= {"near1", "far1"}
    pipeline.apply({})
    assert asked(probers["node"], "::1", node_port(objects)) == {"REJECT": 1}


def test_the_process_is_there_as_long_as_the_spec_asks_for_it(world: Topology, mode: ModeInstance, objects: Objects) -> None:
    pipeline = Pipeline(world, mode, ON)
    pipeline.apply(objects)
    assert len(world.node.call(processes.found, LOCALHOST)) == 1
    assert not world.node.call(processes.found, ALL_SERVICES)

    off = Pipeline(world, mode, CONFIGS["default"])
    off.apply(objects)
    assert not world.node.call(processes.found, LOCALHOST)
    assert LOCALHOST not in world.node.run("nft", "list", "tables")


def test_what_an_earlier_agent_had_goes_where_the_spec_does_not_ask_for_it_any_more(world: Topology, objects: Objects) -> None:
    with contextlib.closing(Entered(world.node, NftablesWithLocalhost)) as before:
        Pipeline(world, before, ON).apply(objects)
    with removed_at_the_end(world, NftablesWithLocalhost) as later:
        assert any(LOCALHOST in line for line in later.scan())
        Pipeline(world, later, CONFIGS["default"]).apply(objects)
        assert not any(LOCALHOST in line for line in later.scan())
