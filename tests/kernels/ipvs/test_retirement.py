"""Leaving and entering ipvs mode under traffic: nothing is lost, and nothing is left."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernels.ipvs.packets import FAMILIES, SETTINGS, TALKING, Served, service, service_ip
from tests.support.netns.topology import PODS
from tests.support.polling import eventually
from tests.unit.agent.dataplane.nftables.frontends import ip

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.servers import Held, VirtualServers
from proxyconfig_agent.dataplane.ipvs.kernel.tables import Tables
from proxyconfig_agent.dataplane.ipvs.sync.retirement import Retirement
from proxyconfig_agent.dataplane.modes.takeover import Takeover
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import ModeInstance
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink import localroutes
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Destination, Load, VirtualServer
from proxyconfig_agent.netlink.nftables import connection as nf_tables


class Passed:
    """A clock that each look moves on by a minute."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        self._seconds += 60
        return self._seconds


@contextlib.contextmanager
def entered(world: Served, make: Callable[[], ModeInstance]) -> Iterator[Entered]:
    made = Entered(world.topology.node, make)
    try:
        yield made
    finally:
        made.remove()
        made.close()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("leave", [True, False], ids=["ipvs-to-nftables", "nftables-to-ipvs"])
def test_a_change_of_the_mode_loses_nothing(world: Served, family: int, leave: bool) -> None:
    ports = [service(family, 1, "near1", "far1"), service(family, 2, "near1", target=TALKING)]
    clock = Passed()

    def ipvs() -> ModeInstance:
        return Ipvs(now=clock)

    earlier, later = (ipvs, Nftables) if leave else (Nftables, ipvs)
    with entered(world, earlier) as before, entered(world, later) as after:
        before.resync(SETTINGS, ports)
        mode = Takeover(after, lambda: iter([Entered(world.topology.node, earlier)]))
        with world.connected(service_ip(family, 2)) as long:
            world.probers["outside"].send([{"address": service_ip(family, 1), "port": 80, "for_s": 5, "enough": 1}])
            mode.resync(SETTINGS, ports)
            (answers,) = world.probers["outside"].receive()
            assert {each.partition(" ")[0] for each in answers} <= {"near1", "far1"}
            mode.disturbed()
            assert bool(before.scan()) is leave
            assert world.answer(long) == "near1"

        def gone() -> bool:
            mode.disturbed()
            return not before.scan()

        eventually(gone)
        assert after.resync(SETTINGS, ports).operations == 0
        mode.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_that_has_said_all_still_gets_its_answer(world: Served, family: int) -> None:
    """IPVS counts its connection as inactive."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    ports = [service(family, 3, "near1", target=6060)]
    with (
        world.topology["near1"].call(lambda: socket.create_server((PODS["near1"][family], 6060), family=kind)) as listening,
        entered(world, Ipvs) as before,
        entered(world, Nftables) as after,
    ):
        before.resync(SETTINGS, ports)
        listening.settimeout(30)
        with world.topology["client"].call(lambda: socket.create_connection((service_ip(family, 3), 80), timeout=30)) as client:
            server, _ = listening.accept()
            with server:
                client.shutdown(socket.SHUT_WR)
                assert server.recv(1) == b""
                mode = Takeover(after, lambda: iter([Entered(world.topology.node, lambda: Ipvs(now=Passed()))]))
                mode.resync(SETTINGS, ports)
                for _ in range(3):
                    mode.disturbed()
                server.sendall(b"late")
            assert client.recv(10) == b"late"
        mode.close()


class Counting(VirtualServers):
    """Notes what of the kernel is read."""

    def __init__(self) -> None:
        super().__init__(Connection())
        self.read: list[str | VirtualServer] = []

    def held(self) -> Held:
        self.read.append("all")
        return super().held()

    def loads(self, server: VirtualServer) -> dict[Destination, Load]:
        self.read.append(server)
        return super().loads(server)


def test_after_a_first_look_only_virtual_servers_that_had_connections_are_read(world: Served) -> None:
    ports = [service(4, 4, "near1", target=TALKING), *(service(4, number, "near1") for number in range(5, 9))]
    busy = VirtualServer(Protocol.TCP, ip(service_ip(4, 4)), 80)
    node, servers = world.topology.node, world.topology.node.call(Counting)
    kernel = Kernel(servers, node.call(localroutes.Connection), Tables(node.call(nf_tables.Connection)))
    with contextlib.closing(kernel), entered(world, Ipvs) as before, entered(world, Nftables) as after:
        before.resync(SETTINGS, ports)
        with world.connected(service_ip(4, 4)) as connection:
            after.resync(SETTINGS, ports)
            retirement = Retirement(kernel, Passed())
            for _ in range(4):
                assert not node.call(retirement.step, SETTINGS.drain_s)
            assert servers.read == ["all", busy, busy]
            assert [line for line in before.scan() if "virtual server 10." in line] == [f"virtual server {service_ip(4, 4)}:80/TCP"]
            assert world.answer(connection) == "near1"
