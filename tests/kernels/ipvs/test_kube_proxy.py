"""A node that kube-proxy ran in ipvs mode: it is taken over with its connections where the settings ask for it, and nothing else is."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from msgspec.structs import replace
from tests.kernel.in_namespace import Entered
from tests.kernels.ipvs.packets import FAMILIES, SETTINGS, TALKING, Served, public_ip, served, service, service_ip
from tests.support.netns.topology import NODE, PODS
from tests.support.polling import eventually
from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.ipvs.model.servers import is_ours
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.modes.takeover import Takeover
from proxyconfig_agent.dataplane.port import Ipvs as IpvsSettings
from proxyconfig_agent.dataplane.port import Lifecycle, Settings
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs import messages
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Destination, Scheduling, VirtualServer
from proxyconfig_agent.select.frontends import Frontends

NODE_PORT = 30001
KEPT, GONE, EXTERNAL, EXCLUDED = 1, 9, 1, 9
"""The last numbers of ClusterIPs and of public addresses."""
# MASQUERADE among them: without a rule that needs it, the kernel tracks no connections, and kube-proxy always has one.
RULES = """*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-LOAD-BALANCER - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-NODE-PORT -p tcp -m set --match-set {prefix}NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
COMMIT
*filter
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
:FOREIGN - [0:0]
-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
-A INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT
-A FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A OUTPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER
-A KUBE-IPVS-FILTER -m set --match-set {prefix}CLUSTER-IP dst,dst -j RETURN
COMMIT
"""


class Passed:
    """A clock that stands until a test moves it on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def world() -> Iterator[Served]:
    with served() as made:
        yield made


@dataclass(frozen=True, slots=True)
class Left:
    """What kube-proxy left in one family, beside what other programs have."""

    world: Served
    family: int
    kernel: Connection

    @property
    def foreign(self) -> VirtualServer:
        """Of another program, at an address of the node."""
        return server(NODE[self.family], 9998)

    @property
    def excluded(self) -> VirtualServer:
        """Of another program, at an address that kube-proxy's link has."""
        return server(public_ip(self.family, EXCLUDED))

    @property
    def own(self) -> tuple[VirtualServer, ...]:
        addresses = (service_ip(self.family, KEPT), service_ip(self.family, GONE), public_ip(self.family, EXTERNAL))
        return (*map(server, addresses), server(NODE[self.family], NODE_PORT))

    def make(self) -> None:
        node, v6 = self.world.topology.node, self.family == 6
        prefix, of_family = ("KUBE-6-", "family inet6") if v6 else ("KUBE-", "family inet")
        bound = [*self.own[:3], self.excluded]
        text = [f"{socket.inet_ntop(socket.AF_INET6 if v6 else socket.AF_INET, each.address)}/{128 if v6 else 32}" for each in bound]
        node.ip(["link add kube-ipvs0 type dummy", *(f"addr add {address} dev kube-ipvs0" for address in text)])
        sets = f"create {prefix}CLUSTER-IP hash:ip,port {of_family}\ncreate {prefix}NODE-PORT-TCP bitmap:port range 0-65535\n"
        sets += f"add {prefix}NODE-PORT-TCP {NODE_PORT}\ncreate of-somebody hash:ip {of_family}\n"
        node.run("ipset", "restore", stdin=sets)
        node.run(f"{'ip6' if v6 else 'ip'}tables-nft-restore", "--noflush", stdin=RULES.format(prefix=prefix))
        destination = Destination(ip(PODS["near1"][self.family]), TALKING)
        for each in (*self.own, self.foreign, self.excluded):
            commands = [messages.new_service(each, Scheduling("wlc")), messages.new_destination(each, destination, 1)]
            assert self.kernel.commit(commands) == []

    def clear(self) -> None:
        node = self.world.topology.node
        self.kernel.commit(map(messages.delete_service, self.kernel.services()))
        node.run("nft", "flush", "ruleset")
        node.run("ipset", "destroy")
        if "kube-ipvs0" in node.run("ip", "link"):
            node.ip(["link del kube-ipvs0"])
        node.call(lambda: Ownership().release())

    def rules(self) -> str:
        """Without the times that iptables-save prints."""
        node = self.world.topology.node
        lines = [*node.run("iptables-nft-save").splitlines(), *node.run("ip6tables-nft-save").splitlines()]
        return "\n".join(line for line in lines if not line.startswith("#"))

    def sets(self) -> list[str]:
        return self.world.topology.node.run("ipset", "list", "-n").split()


def server(address: str, port: int = 80) -> VirtualServer:
    return VirtualServer(Protocol.TCP, ip(address), port)


@pytest.fixture(params=FAMILIES)
def left(world: Served, request: pytest.FixtureRequest) -> Iterator[Left]:
    with contextlib.closing(world.topology.node.call(Connection)) as kernel:
        made = Left(world, request.param, kernel)
        made.make()
        yield made
        made.clear()


@pytest.fixture
def clock() -> Passed:
    return Passed()


@pytest.fixture
def mode(world: Served, clock: Passed) -> Iterator[Takeover]:
    node = world.topology.node

    def others() -> Iterator[Lifecycle]:
        if node.call(lambda: bool(Ownership())):
            yield Entered(node, Iptables)

    inner = Entered(node, lambda: Ipvs(now=clock))
    yield Takeover(inner, others)
    inner.remove()
    inner.close()


def settings(left: Left, *, adopts: bool = True) -> Settings:
    excluded = network(f"{public_ip(left.family, EXCLUDED)}/{32 if left.family == 4 else 128}")
    return replace(SETTINGS, ipvs=IpvsSettings(adopts_kube_proxy=adopts, excluded=(excluded,)))


def ports(left: Left) -> list[Frontends]:
    external = (ip(public_ip(left.family, EXTERNAL)),)
    return [service(left.family, KEPT, "near1", target=TALKING, external_ips=external, node_port=NODE_PORT)]


def connection(left: Left, client: str, address: str, port: int = 80) -> socket.socket:
    made = left.world.topology[client].call(lambda: socket.create_connection((address, port), timeout=20))
    assert left.world.answer(made) == "near1"
    return made


def test_its_connections_live_on_and_nothing_of_it_is_left(left: Left, mode: Takeover, clock: Passed) -> None:
    family, node = left.family, left.world.topology.node
    with contextlib.ExitStack() as connections:
        old = [
            connections.enter_context(connection(left, *where))
            for where in (
                ("client", service_ip(family, KEPT)),
                ("client", service_ip(family, GONE)),
                ("outside", public_ip(family, EXTERNAL)),
                ("outside", NODE[family], NODE_PORT),
            )
        ]
        before = left.kernel.services()
        assert mode.resync(settings(left), ports(left)).refused == ()
        eventually(lambda: not mode.disturbed() and left.sets() == ["of-somebody"])
        assert "kube-ipvs0" not in node.run("ip", "link")
        assert "KUBE-" not in left.rules()
        assert ":FOREIGN" in left.rules()
        assert {each: left.kernel.services()[each] for each in (left.foreign, left.excluded)} == {
            each: before[each] for each in (left.foreign, left.excluded)
        }
        assert {left.world.answer(each) for each in old} == {"near1"}
        for where in (("client", service_ip(family, KEPT)), ("outside", public_ip(family, EXTERNAL)), ("outside", NODE[family], NODE_PORT)):
            connection(left, *where).close()
        assert set(left.world.asked("outside", NODE[family], 9999)) == {"host"}, "the node's own address is not closed"
        assert left.world.silence("client", service_ip(family, GONE)) == {"DROP"}

        restarted = Entered(node, Ipvs)
        assert restarted.resync(settings(left), ports(left)).operations == 0
        restarted.close()
        assert {left.world.answer(each) for each in old} == {"near1"}

    def gone() -> bool:
        clock.seconds += 600
        mode.disturbed()
        return not set(left.own[1:]) & left.kernel.services().keys()

    eventually(gone, within_s=60)
    assert left.own[0] in left.kernel.services()


def test_it_is_left_alone_where_the_settings_do_not_say_so(left: Left, mode: Takeover) -> None:
    before, rules, sets = left.kernel.services(), left.rules(), left.sets()
    (refusal,) = mode.resync(settings(left, adopts=False), ports(left)).refused
    assert "if kube-proxy left it, set spec.ipvs.adoptKubeProxy" in refusal.reason
    assert not mode.disturbed()
    services = left.kernel.services()
    assert {each: services[each] for each in before} == before
    assert left.sets() == sets
    assert set(rules.splitlines()) <= set(left.rules().splitlines())
    assert "kube-ipvs0" in left.world.topology.node.run("ip", "link")


def test_a_node_port_of_a_service_is_taken_over_that_kube_proxy_had_no_time_to_put_into_its_set(left: Left, mode: Takeover) -> None:
    left.world.topology.node.run("ipset", "flush")
    with connection(left, "outside", NODE[left.family], NODE_PORT) as old:
        assert mode.resync(settings(left), ports(left)).refused == ()
        assert is_ours(left.kernel.services()[server(NODE[left.family], NODE_PORT)])
        assert left.world.answer(old) == "near1"


def test_a_service_at_an_excluded_address_is_refused(left: Left, mode: Takeover) -> None:
    at_excluded = replace(service(left.family, 3, "near1"), cluster_ip=ip(public_ip(left.family, EXCLUDED)))
    (refusal,) = mode.resync(settings(left), [*ports(left), at_excluded]).refused
    assert refusal.service == at_excluded.name.service
    assert left.kernel.services()[left.excluded] == Scheduling("wlc")
