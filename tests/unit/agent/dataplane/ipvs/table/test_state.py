"""What is known of the kernel, Service port by Service port, and what a change makes of it."""

from __future__ import annotations

import tracemalloc

from tests.support.clock import FakeClock
from tests.unit.agent.dataplane.nftables.frontends import backends, frontends, ip

from proxyconfig_agent.dataplane.ipvs.model import maps
from proxyconfig_agent.dataplane.ipvs.model.servers import Present, Server, keeper, scheduling_of
from proxyconfig_agent.dataplane.ipvs.table.draining import LIMIT_S
from proxyconfig_agent.dataplane.ipvs.table.state import FamilyState, Plan
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.ingest.model import Family, Policy, Protocol, ServiceName
from proxyconfig_agent.netlink.ipvs.messages import Destination, VirtualServer
from proxyconfig_agent.select.frontends import Frontends

NEAR, FAR = "10.244.0.1:8080", "10.244.1.1:8080"
NEAR_DESTINATION = Destination(ip("10.244.0.1"), 8080)
CLUSTER_IP = ip("10.96.0.10")
TCP = VirtualServer(Protocol.TCP, CLUSTER_IP, 80)
HTTP = frontends(cluster=(NEAR, FAR))
DNS = frontends(cluster=(NEAR,), port_name="dns", port=53, protocol=Protocol.UDP)


class Kernel:
    """A family's state, and a clock that it looks at."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.state = FamilyState(Family.IPV4, Settings(), self.clock.clock.monotonic)

    def put(self, *ports: Frontends) -> Plan:
        return self._keep(self.state.plan({port.name: port for port in ports}))

    def drop(self, *ports: Frontends) -> Plan:
        return self._keep(self.state.plan({port.name: None for port in ports}))

    def reap(self, connections: int) -> Plan:
        return self._keep(self.state.reap(self.state.draining.over(lambda *_: connections)))

    def _keep(self, plan: Plan) -> Plan:
        self.state.keep(plan)
        return plan


def test_the_same_again_is_nothing_to_do() -> None:
    kernel = Kernel()
    assert len(kernel.put(HTTP)) > 0
    assert len(kernel.put(HTTP)) == 0


def test_ports_of_a_service_share_their_cluster_ip() -> None:
    kernel = Kernel()
    assert kernel.put(HTTP).routes_added == [CLUSTER_IP]
    assert kernel.put(DNS).routes_added == []
    assert kernel.drop(DNS).routes_removed == []


def test_an_endpoint_more_is_one_command() -> None:
    kernel = Kernel()
    kernel.put(HTTP)
    plan = kernel.put(frontends(cluster=(NEAR, FAR, "10.244.1.2:8080")))
    assert len(plan) == 1
    assert plan.servers.added == [(TCP, Destination(ip("10.244.1.2"), 8080))]


def test_the_address_of_what_drains_stays_local_and_is_refused_to_new_connections() -> None:
    kernel = Kernel()
    kernel.put(HTTP)
    plan = kernel.drop(HTTP)

    assert plan.servers.retired == [TCP]
    assert plan.routes_removed == []
    assert set(plan.elements.deleted) == {maps.CLUSTER_PORTS, address_sets.CLUSTER_IPS}
    assert set(plan.elements.added) == {maps.DRAINING_IPS}


def test_what_is_drained_goes_with_its_address() -> None:
    kernel = Kernel()
    kernel.put(HTTP)
    kernel.drop(HTTP)
    assert len(kernel.reap(connections=1)) == 0

    plan = kernel.reap(connections=0)

    assert plan.servers.deleted == [TCP]
    assert plan.routes_removed == [CLUSTER_IP]
    assert set(plan.elements.deleted) == {maps.DRAINING_IPS}
    assert not kernel.state.draining


def test_nothing_drains_for_ever() -> None:
    kernel = Kernel()
    kernel.put(HTTP)
    kernel.put(frontends(cluster=(FAR,)))
    assert kernel.reap(connections=1).servers.removed == []
    kernel.clock.advance(LIMIT_S)
    assert kernel.reap(connections=1).servers.removed == [(TCP, NEAR_DESTINATION)]


def test_a_service_that_comes_back_takes_over_what_drains() -> None:
    kernel = Kernel()
    kernel.put(HTTP)
    kernel.drop(HTTP)
    plan = kernel.put(HTTP)

    assert list(plan.servers.changed) == [TCP]
    assert len(plan.servers.revived) == 2
    assert plan.routes_added == []
    assert not kernel.state.draining
    kernel.drop(DNS)
    assert kernel.drop(HTTP).routes_removed == []


def test_the_address_goes_with_the_last_port_of_udp() -> None:
    kernel = Kernel()
    kernel.put(DNS)
    plan = kernel.drop(DNS)
    assert plan.routes_removed == [CLUSTER_IP]
    assert set(plan.elements.deleted) == {maps.CLUSTER_PORTS, address_sets.CLUSTER_IPS}


def test_private_addresses_are_local_too_and_reached_by_maps_alone() -> None:
    local = frontends(cluster=(NEAR, FAR), local=(NEAR,), external_policy=Policy.LOCAL, node_port=30080)
    plan = Kernel().put(local)
    assert plan.routes_added == [CLUSTER_IP, ip("250.96.0.10")]
    assert set(plan.elements.added[maps.PRIVATE_IPS]) == {ip("250.96.0.10")}


def test_a_service_that_is_refused_has_nothing() -> None:
    kernel = Kernel()
    kernel.put(DNS)
    plan = kernel.state.plan({HTTP.name: HTTP}, without=(ServiceName("shop", "web"),))
    kernel.state.keep(plan)
    assert kernel.state.ports == {}
    assert plan.routes_removed == [CLUSTER_IP]


def test_a_restart_finds_what_is_wanted_and_goes_on_draining_the_rest() -> None:
    kernel = Kernel()
    old = VirtualServer(Protocol.TCP, ip("10.96.0.99"), 80)
    server = Server(scheduling_of("rr", 0), frozenset((NEAR_DESTINATION,)))
    wanted = frontends(cluster=(NEAR,))
    present = Present(dict([(TCP, server), (old, server), keeper(Family.IPV4)]), {}, {})

    plan = kernel.state.adopt({wanted.name: wanted}, (), present)
    kernel.state.keep(plan)

    assert plan.servers.made == {}
    assert plan.servers.retired == [old]
    assert plan.routes_added == [CLUSTER_IP, ip("10.96.0.99")]
    assert kernel.reap(connections=0).servers.deleted == [old]


def test_the_keeper_is_made_when_it_is_lacking() -> None:
    plan = Kernel().state.adopt({}, (), Present({}, {}, {}))
    assert plan.servers.made == {keeper(Family.IPV4)[0]: scheduling_of("rr", 0)}


def test_a_weight_of_zero_that_is_wanted_is_set_back() -> None:
    state = Kernel().state
    wanted = frontends(cluster=(NEAR,))
    present = Present({TCP: Server(scheduling_of("rr", 0), frozenset())}, {TCP: frozenset((NEAR_DESTINATION,))}, {})
    assert state.adopt({wanted.name: wanted}, (), present).servers.revived == [(TCP, NEAR_DESTINATION)]


def test_a_weight_that_is_wrong_is_set_right_where_the_destination_is_wanted() -> None:
    state = Kernel().state
    wanted = frontends(cluster=(NEAR,))
    old = Destination(ip("10.244.9.9"), 8080)
    both = frozenset((NEAR_DESTINATION, old))
    present = Present({TCP: Server(scheduling_of("rr", 0), both)}, {}, {TCP: both})
    servers = state.adopt({wanted.name: wanted}, (), present).servers
    assert (servers.revived, servers.drained) == ([(TCP, NEAR_DESTINATION)], [(TCP, old)])


def test_a_virtual_server_that_drains_at_an_address_of_the_node_neither_closes_nor_keeps_it() -> None:
    own = ip("192.0.2.1")
    state = FamilyState(Family.IPV4, Settings(), FakeClock().clock.monotonic, on_links=(own,))
    node_port = VirtualServer(Protocol.TCP, own, 30001)
    present = Present({node_port: Server(scheduling_of("rr", 0), frozenset((NEAR_DESTINATION,)))}, {}, {})
    plan = state.adopt({}, (), present)
    assert (plan.servers.retired, plan.routes_added) == ([node_port], [])
    assert maps.DRAINING_IPS not in plan.elements.added
    state.keep(plan)
    plan = state.reap(state.draining.over(lambda *_: 0))
    assert (plan.servers.deleted, plan.routes_removed) == ([node_port], [])


def test_a_full_sync_takes_little_more_memory_than_its_plan() -> None:
    """What is lowered for one Service port is given back before the next one."""
    pods = tuple(f"10.244.{pod}.1:8080" for pod in range(20))
    ports = [frontends(f"s{number}", f"10.96.1.{number}", pods, serving=backends(*pods)) for number in range(1, 101)]
    wanted = {port.name: port for port in ports}
    state = FamilyState(Family.IPV4, Settings(), FakeClock().clock.monotonic)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        plan = state.adopt(wanted, (), Present({}, {}, {}))
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(plan.servers.added) == 2000
    assert peak - before < 1.3 * (after - before)
