"""What drains is looked for where something drains, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from msgspec.structs import replace
from tests.support.clock import FakeClock
from tests.unit.agent.dataplane.nftables.frontends import backends, frontends, ip

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.sync.reaper import PERIOD_S, Reaper
from proxyconfig_agent.dataplane.ipvs.table.draining import LIMIT_S
from proxyconfig_agent.dataplane.ipvs.table.state import FamilyState, Plan
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.netlink.ipvs.messages import Destination, Load, VirtualServer
from proxyconfig_agent.select.frontends import Frontends

NEAR, FAR = "10.244.0.1:8080", "10.244.1.1:8080"
WEB, OTHER = frontends(cluster=(NEAR, FAR)), frontends("other", "10.96.0.11", (NEAR, FAR))
SERVER = VirtualServer(Protocol.TCP, ip("10.96.0.10"), 80)
GOING = Destination(ip("10.244.0.1"), 8080)


@dataclass
class FakeKernel:
    """Connections of one destination; it notes which virtual servers were read, and what was deleted."""

    connections: int = 1
    read: list[VirtualServer] = field(default_factory=list)
    removed: list[tuple[VirtualServer, Destination]] = field(default_factory=list)

    @property
    def servers(self) -> FakeKernel:
        return self

    def loads(self, server: VirtualServer) -> dict[Destination, Load]:
        self.read.append(server)
        return {GOING: Load(0, self.connections, 0)}

    def commit(self, plans: Mapping[Family, Plan], settings: Settings) -> None:
        del settings
        self.removed += [pair for plan in plans.values() for pair in plan.servers.removed]


class Node:
    def __init__(self, *ports: Frontends) -> None:
        self.kernel, self.clock = FakeKernel(), FakeClock()
        now = self.clock.clock.monotonic
        self.state = FamilyState(Family.IPV4, Settings(), now)
        self._reaper = Reaper(cast("Kernel", self.kernel), now)
        self.put(*ports)

    def put(self, *ports: Frontends) -> None:
        self.state.keep(self.state.plan({port.name: port for port in ports}))

    def reap(self) -> bool:
        self.clock.advance(PERIOD_S)
        return self._reaper.reap({Family.IPV4: self.state}, Settings())


def test_nothing_is_read_while_nothing_drains() -> None:
    node = Node(WEB, OTHER)
    assert not node.reap()
    assert node.kernel.read == []


def test_only_the_virtual_server_of_which_something_drains_is_read() -> None:
    node = Node(WEB, OTHER)
    node.put(frontends(cluster=(FAR,)))
    assert not node.reap()
    assert node.kernel.read == [SERVER]


def test_what_has_no_connections_any_more_is_deleted() -> None:
    node = Node(WEB, OTHER)
    node.put(frontends(cluster=(FAR,)))
    node.kernel.connections = 0
    assert node.reap()
    assert node.kernel.removed == [(SERVER, GOING)]
    assert not node.state.draining


def test_clients_of_udp_are_not_cut_while_their_endpoint_serves_and_those_of_tcp_are_after_an_hour() -> None:
    udp = frontends(cluster=(NEAR, FAR), protocol=Protocol.UDP)
    node = Node(WEB, udp)
    serving = backends(NEAR, FAR)
    node.put(frontends(cluster=(FAR,)), replace(udp, cluster=backends(FAR), serving=serving))
    node.clock.advance(LIMIT_S)
    assert node.reap()
    assert node.kernel.removed == [(SERVER, GOING)]
    node.put(replace(udp, cluster=backends(FAR), serving=backends(FAR)))
    assert not node.state.draining
