"""UDP clients that go on with the same port when no rule leads to the proxy process any more: connection tracking would lead them on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.node.udp import WAYS, Client, Table, clients, exposed, ready
from tests.kernel.traffic.inprocess import Pipeline
from tests.kernel.userspace.rig import ENDPOINTS, VIPS, Rig, answering, route
from tests.support.netns.topology import NODE, Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

from proxyconfig_agent.dataplane.combined.userspace_by_iptables import UserspaceByIptables
from proxyconfig_agent.dataplane.port import ModeInstance
from proxyconfig_agent.dataplane.userspace.kernel import processes
from proxyconfig_agent.dataplane.userspace.kernel.proxy_client import ProxyClient
from proxyconfig_agent.dataplane.userspace.proxy.control.names import END, RETIRE
from proxyconfig_agent.dataplane.userspace.proxy.process import UNDERWAY_S
from proxyconfig_agent.dataplane.userspace.proxy.sockets import packed_of
from proxyconfig_agent.dataplane.userspace.userspace import Userspace
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.node.conntrack.stale import Flow

pytestmark = pytest.mark.kernel

_RULES = """
table {ip} {name} {{
    chain prerouting {{
        type nat hook prerouting priority dstnat - 1
        {ip} daddr {vip} meta l4proto udp dnat to {endpoint}:{port}
    }}
}}
"""


def lead(made: Rig, family: Family, vip: int, endpoint: int, port: int = 8080) -> None:
    """Before all other rules, as one that serves the node after the mode."""
    address = ENDPOINTS[family].format(endpoint)
    ip, to = ("ip", address) if family is Family.IPV4 else ("ip6", f"[{address}]")
    rules = _RULES.format(ip=ip, name=f"others-{vip}", vip=VIPS[family].format(vip), endpoint=to, port=port)
    made.node.run("nft", "-f", "-", stdin=rules)


def asked(client: socket.socket, family: Family, vip: int) -> bytes:
    client.sendto(b"who", (VIPS[family].format(vip), 80))
    return client.recv(2048)


@pytest.mark.parametrize("family", list(Family))
def test_a_client_reaches_whom_rules_lead_to_as_soon_as_the_process_retires(made: Rig, proxy: ProxyClient, family: Family) -> None:
    proxy.update([route(1, family=family, protocol=Protocol.UDP)])
    with answering(made.answering(1, family), b"1"), answering(made.answering(2, family), b"2"), made.datagrams(family) as client:
        assert asked(client, family, vip=1) == b"1"
        lead(made, family, vip=1, endpoint=2)
        assert asked(client, family, vip=1) == b"1"
        made.node.call(processes.call, RETIRE)
        assert {asked(client, family, vip=1) for _ in range(3)} == {b"2"}


@pytest.mark.parametrize("family", list(Family))
def test_a_client_that_waits_has_its_answer_before_it_goes_there(made: Rig, proxy: ProxyClient, family: Family) -> None:
    proxy.update([route(1, family=family, protocol=Protocol.UDP)])
    with made.answering(1, family) as slow, answering(made.answering(2, family), b"2"), made.datagrams(family) as client:
        client.sendto(b"who", (VIPS[family].format(1), 80))
        _, peer = slow.recvfrom(2048)
        lead(made, family, vip=1, endpoint=2)
        made.node.call(processes.call, RETIRE)
        slow.sendto(b"1", peer)
        answer, sender = client.recvfrom(2048)
        assert (answer, sender[:2]) == (b"1", (VIPS[family].format(1), 80))
        eventually(lambda: translated(made, family), within_s=UNDERWAY_S - 1, until=[].__eq__)
        assert asked(client, family, vip=1) == b"2"


@pytest.mark.parametrize("family", list(Family))
def test_a_client_that_is_never_answered_goes_there_when_the_process_closes(made: Rig, proxy: ProxyClient, family: Family) -> None:
    proxy.update([route(1, family=family, protocol=Protocol.UDP)])
    with made.answering(1, family) as silent, made.answering(2, family) as other, made.datagrams(family) as client:
        to = (VIPS[family].format(1), 80)
        client.sendto(b"1", to)
        assert silent.recv(2048) == b"1"
        lead(made, family, vip=1, endpoint=2)
        made.node.call(processes.call, RETIRE)
        client.sendto(b"2", to)
        assert silent.recv(2048) == b"2"
        made.node.call(processes.call, END)
        client.sendto(b"3", to)
        assert other.recv(2048) == b"3"


@pytest.mark.parametrize("family", list(Family))
def test_a_flow_to_an_endpoint_whose_port_has_the_number_of_the_processs_own_stays(made: Rig, proxy: ProxyClient, family: Family) -> None:
    proxy.update([route(1, family=family, protocol=Protocol.UDP)])
    with answering(made.answering(1, family), b"1"), made.datagrams(family) as client:
        assert asked(client, family, vip=1) == b"1"
        (port,) = {int.from_bytes(flow.answers[-2:]) for flow in translated(made, family)}
        lead(made, family, vip=2, endpoint=3, port=port)
        with answering(made.answering(3, family, port), b"3"):
            assert asked(client, family, vip=2) == b"3"
            made.node.call(processes.call, RETIRE)
            assert [flow.answers for flow in translated(made, family)] == [packed_of(family, ENDPOINTS[family].format(3), port)]


def translated(made: Rig, family: Family) -> list[Flow]:
    return [flow for flow in Table(made.node).flows(family) if flow.destination != flow.answers]


@pytest.fixture
def asking(world: Topology) -> Iterator[list[Client]]:
    Table(world.node).empty()
    with clients(world, *WAYS) as made:
        yield made


@pytest.mark.parametrize("rules", [Userspace, partial(UserspaceByIptables, "")], ids=["nf_tables", "iptables"])
@pytest.mark.parametrize("end", [lambda mode: mode.remove(), lambda mode: mode.retire(0.0)], ids=["removed", "retired"])
def test_no_flow_leads_to_a_process_whose_mode_is(
    world: Topology, asking: list[Client], rules: Callable[[], ModeInstance], end: Callable[[ModeInstance], object]
) -> None:
    with contextlib.closing(Entered(world.node, rules)) as mode:
        Pipeline(world, mode, CONFIGS["default"], "userspace").apply(exposed(ready("near1")))
        assert {client.ask() for client in asking} == {"near1 8080"}
        assert len(to_the_node(world)) == len(asking)
        end(mode)
    assert to_the_node(world) == []


def to_the_node(world: Topology) -> list[Flow]:
    """Those that are translated to one of its addresses."""
    own = {socket.inet_pton(kind, address) for kind, address in zip((socket.AF_INET, socket.AF_INET6), NODE.both, strict=True)}
    return [flow for flow in Table(world.node).all() if flow.destination != flow.answers and flow.answers[:-2] in own]
