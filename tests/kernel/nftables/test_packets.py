"""Real packets through the rules: the core of what they mean. The whole table of behaviour is in `tests/support/scenarios`."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.kernel.nftables.examples import many
from tests.support.netns.peers import Prober, echoing, probing
from tests.support.netns.topology import NODE, NODE_GATEWAYS, POD_CIDR, PODS, PODS2, SERVICE_CIDR, Topology, topology
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Change, LocalTraffic, Settings
from proxyconfig_agent.ingest.model import Policy
from proxyconfig_agent.select.frontends import Frontends

pytestmark = pytest.mark.kernel

PORTS = (8080, 9090)
FAMILIES = (4, 6)
SETTINGS = Settings(
    local_traffic=LocalTraffic(cidrs=tuple(map(network, POD_CIDR.both))),
    node_port_addresses=tuple(map(ip, NODE.both)),
    node_addresses=tuple(map(ip, NODE.both)),
    service_cidrs=tuple(map(network, SERVICE_CIDR.both)),
)


@pytest.fixture(scope="module")
def world() -> Iterator[Topology]:
    with topology() as made, contextlib.ExitStack() as servers:
        for pod, addresses in (("near1", PODS["near1"]), ("far1", PODS2["far1"])):
            servers.enter_context(echoing(made[pod], pod, addresses.both, PORTS))
        yield made


@pytest.fixture(scope="module")
def client(world: Topology) -> Iterator[Prober]:
    with probing(world["client"]) as prober:
        yield prober


@pytest.fixture(scope="module")
def outside(world: Topology) -> Iterator[Prober]:
    with probing(world["outside"]) as prober:
        yield prober


@pytest.fixture
def dataplane(world: Topology) -> Iterator[Nftables]:
    made = world.node.call(Nftables)
    yield made
    made.remove()
    made.close()


def service_ip(family: int, number: int) -> str:
    return f"10.96.0.{number}" if family == 4 else f"fd00:10:96::{number}"


def endpoint(pod: str, family: int, port: int = 8080) -> str:
    address = {**PODS, **PODS2}[pod][family]
    return f"{address}:{port}" if family == 4 else f"[{address}]:{port}"


def both_endpoints(name: str, family: int, number: int, port: int = 8080, **fields: Any) -> Frontends:
    near, far = endpoint("near1", family, port), endpoint("far1", family, port)
    return frontends(name, service_ip(family, number), (near, far), on_node=(ip(PODS["near1"][family]),), **fields)


@pytest.mark.parametrize("family", FAMILIES)
def test_packets_go_where_the_service_says(dataplane: Nftables, client: Prober, outside: Prober, family: int) -> None:
    local: dict[str, Any] = {"external_policy": Policy.LOCAL, "local": (endpoint("near1", family),)}
    outcome = dataplane.resync(
        SETTINGS,
        [
            both_endpoints("plain", family, 1, node_port=30001),
            both_endpoints("local", family, 2, node_port=30002, **local),
            frontends("empty", service_ip(family, 3), node_port=30003),
            frontends("inside", service_ip(family, 4), reachable=True, internal_policy=Policy.LOCAL),
            both_endpoints("target", family, 5, port=9090),
        ],
    )
    assert not outcome.refused
    pod, guest = PODS["client"][family], "192.168.50.2" if family == 4 else "fd00:50::2"
    near_gateway, far_gateway = (gateway[family] for gateway in NODE_GATEWAYS)
    from_pod = ask(
        client,
        (service_ip(family, 1), 80),
        (service_ip(family, 2), 80),
        (NODE[family], 30002),
        (service_ip(family, 3), 80),
        (service_ip(family, 1), 81),
        (service_ip(family, 4), 80),
        (service_ip(family, 99), 80),
        (service_ip(family, 5), 80),
    )
    everywhere = {f"near1 {pod} 8080", f"far1 {pod} 8080"}
    assert from_pod == [
        everywhere,
        everywhere,
        everywhere,
        {"REJECT"},
        {"REJECT"},
        {"DROP"},
        {"DROP"},
        {f"near1 {pod} 9090", f"far1 {pod} 9090"},
    ]
    from_outside = ask(outside, (NODE[family], 30001), (NODE[family], 30002), (NODE[family], 30003))
    assert from_outside == [{f"near1 {near_gateway} 8080", f"far1 {far_gateway} 8080"}, {f"near1 {guest} 8080"}, {"REJECT"}]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("protocol", ["udp", "sctp"])
def test_other_protocols_are_translated_alike(dataplane: Nftables, client: Prober, family: int, protocol: str) -> None:
    port = both_endpoints("web", family, 1)
    number = {"udp": 17, "sctp": 132}[protocol]
    dataplane.resync(SETTINGS, [replace(port, name=port.name._replace(protocol=type(port.name.protocol)(number)))])
    assert servers(ask(client, (service_ip(family, 1), 80), protocol=protocol)) == [{"near1", "far1"}]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pod_reaches_itself_through_its_service(world: Topology, dataplane: Nftables, family: int) -> None:
    near = PODS["near1"][family]
    dataplane.resync(SETTINGS, [frontends("own", service_ip(family, 1), (endpoint("near1", family),), on_node=(ip(near),))])
    with probing(world["near1"]) as itself:
        assert ask(itself, (service_ip(family, 1), 80)) == [{f"near1 {NODE_GATEWAYS[0][family]} 8080"}]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_stays_with_its_endpoint_over_a_resync_and_a_restart(
    world: Topology, dataplane: Nftables, client: Prober, family: int
) -> None:
    ports = [both_endpoints("sticky", family, 1, affinity_s=600, node_port=30001)]
    dataplane.resync(SETTINGS, ports)
    (first,) = servers(ask(client, (service_ip(family, 1), 80), least=1))
    restarted = world.node.call(Nftables)
    assert restarted.resync(SETTINGS, ports).operations == 0
    restarted.close()
    assert servers(ask(client, (service_ip(family, 1), 80), (NODE[family], 30001))) == [first, first]
    assert "expires" in world.node.run("nft", "list", "map", "ip" if family == 4 else "ip6", "proxyconfig", "affinity")


@pytest.mark.parametrize("restarted", [False, True], ids=["change", "restart"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_lowered_affinity_timeout_counts_at_once(
    world: Topology, dataplane: Nftables, client: Prober, family: int, restarted: bool
) -> None:
    """Of so many clients one at least is sent elsewhere, now that nobody is remembered for three hours any more."""
    long = [both_endpoints(f"sticky-{number}", family, number, affinity_s=10800) for number in range(1, 41)]
    short = [replace(port, affinity_s=60) for port in long]
    targets = [(service_ip(family, number), 80) for number in range(1, 41)]
    dataplane.resync(SETTINGS, long)
    first = servers(ask(client, *targets, least=1))
    assert servers(ask(client, *targets, least=1)) == first
    assert timeouts(world, family) == {10800: 40}
    if restarted:
        again = world.node.call(Nftables)
        assert not again.resync(SETTINGS, short).refused
        again.close()
    else:
        assert not dataplane.apply(map(Change, long, short)).refused
    second = servers(ask(client, *targets, least=1))
    assert second != first
    assert servers(ask(client, *targets, least=1)) == second
    assert timeouts(world, family)[60] == 40


@pytest.mark.parametrize("affinity_s", [0, 10800])
def test_no_connection_fails_while_endpoints_are_exchanged(dataplane: Nftables, client: Prober, affinity_s: int) -> None:
    near, far = ([endpoint(pod, 4, port) for port in PORTS] for pod in ("near1", "far1"))
    lists = [(*near, far[0]), (*far,), (near[1], far[1]), (*near, *far)]
    states = [frontends("busy", service_ip(4, 1), endpoints, affinity_s=affinity_s) for endpoints in lists]
    dataplane.resync(SETTINGS, [states[0]])
    client.send([{"address": service_ip(4, 1), "port": 80, "for_s": 3} for _ in range(4)])
    ended = threading.Event()
    threading.Timer(3, ended.set).start()
    exchanged = 0
    while not ended.wait(0.002) or exchanged <= 10:
        old, new = states[exchanged % 4], states[(exchanged + 1) % 4]
        assert not dataplane.apply([Change(old, new)]).refused
        exchanged += 1
    answers: dict[str, int] = {}
    for answered in client.receive():
        for answer, times in answered.items():
            answers[answer] = answers.get(answer, 0) + times
    failures = {answer: times for answer, times in answers.items() if not answer.startswith(("near1", "far1"))}
    print(f"\n{exchanged} exchanges, {sum(answers.values())} connections, failed: {failures or 'none'}")
    assert not failures
    assert exchanged > 10


def test_no_connection_fails_while_a_restarted_agent_adopts(world: Topology, dataplane: Nftables, client: Prober) -> None:
    ports = [both_endpoints("web", 4, 1), *many(500, 10)]
    ports = [port for port in ports if port.cluster_ip != ip(service_ip(4, 1)) or port.name.service.name == "web"]
    dataplane.resync(SETTINGS, ports)
    client.send([{"address": service_ip(4, 1), "port": 80, "for_s": 2, "least": 50}])
    for _ in range(3):
        restarted = world.node.call(Nftables)
        assert restarted.resync(SETTINGS, ports).operations == 0
        restarted.close()
    (answers,) = client.receive()
    assert {answer.split()[0] for answer in answers} == {"near1", "far1"}


def timeouts(world: Topology, family: int) -> Counter[int]:
    """How many clients are remembered for how many seconds."""
    listing = world.node.run("nft", "-j", "list", "map", "ip" if family == 4 else "ip6", "proxyconfig", "affinity")
    (affinity,) = [each["map"] for each in json.loads(listing)["nftables"] if "map" in each]
    return Counter(key["elem"]["timeout"] for key, _ in affinity["elem"])


def ask(prober: Prober, *targets: tuple[str, int], protocol: str = "tcp", least: int = 12) -> list[set[str]]:
    """The different answers of each target."""
    flows = [
        {"address": address, "port": port, "protocol": protocol, "attempts": 40, "least": least, "enough": 2 if least > 1 else 1}
        for address, port in targets
    ]
    return [set(answers) for answers in prober.ask([flow | {"patience_s": 2} for flow in flows])]


def servers(answers: list[set[str]]) -> list[set[str]]:
    """Who answered, of answers of the form `server client port`."""
    return [{answer.split()[0] for answer in each} for each in answers]
