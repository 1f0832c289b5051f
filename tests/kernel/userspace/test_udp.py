"""UDP through the proxy process, with real sockets: flows, round robin, affinity, refusals, idle time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.kernel.userspace.rig import VIPS, Rig, answering, route
from tests.support.polling import eventually

from proxyconfig_agent.dataplane.userspace.kernel.proxy_client import ProxyClient
from proxyconfig_agent.ingest.model import Family, Protocol

pytestmark = pytest.mark.kernel

UDP = Protocol.UDP


def asked(client: socket.socket, family: Family = Family.IPV4, vip: int = 1) -> bytes:
    """The answer to a datagram, from where it was sent to."""
    client.sendto(b"who", (VIPS[family].format(vip), 80))
    answer, peer = client.recvfrom(2048)
    assert peer[:2] == (VIPS[family].format(vip), 80)
    return answer


def names(made: Rig, count: int) -> Counter[bytes]:
    """Who answers so many clients. They stay until the last one: else the kernel may give one the port, and so the flow, of another."""
    with contextlib.ExitStack() as clients:
        return Counter(asked(clients.enter_context(made.datagrams())) for _ in range(count))


@pytest.mark.parametrize("family", list(Family))
def test_the_datagrams_of_a_flow_go_to_one_endpoint_and_its_answers_come_from_where_they_were_sent(
    made: Rig, proxy: ProxyClient, family: Family
) -> None:
    proxy.configure(udp_idle_s=60)
    proxy.update([route(1, 2, family=family, protocol=UDP)])
    with answering(made.answering(1, family), b"1"), answering(made.answering(2, family), b"2"), made.datagrams(family) as client:
        assert len({asked(client, family) for _ in range(10)}) == 1


def test_flows_take_turns(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2, 3, protocol=UDP)])
    with contextlib.ExitStack() as servers:
        for number in (1, 2, 3):
            servers.enter_context(answering(made.answering(number), b"%d" % number))
        assert names(made, 30) == {b"1": 10, b"2": 10, b"3": 10}


def test_a_datagram_that_an_endpoint_refuses_is_answered_by_the_next_one(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2, protocol=UDP)])
    with answering(made.answering(1), b"1"):
        assert names(made, 10) == {b"1": 10}
        with answering(made.answering(2), b"2"):
            eventually(lambda: b"2" in names(made, 2))


def test_a_client_stays_with_its_endpoint_where_there_is_affinity(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2, 3, protocol=UDP, affinity_s=3600)])
    with contextlib.ExitStack() as servers:
        for number in (1, 2, 3):
            servers.enter_context(answering(made.answering(number), b"%d" % number))
        assert len(names(made, 10)) == 1


def test_a_flow_leaves_an_endpoint_that_serves_no_more_and_stays_with_one_that_does(made: Rig, proxy: ProxyClient) -> None:
    proxy.configure(udp_idle_s=60)
    proxy.update([route(1, protocol=UDP)])
    with answering(made.answering(1), b"1"), answering(made.answering(2), b"2"), made.datagrams() as client:
        assert asked(client) == b"1"
        proxy.update([route(1, 2, protocol=UDP)])
        assert {asked(client) for _ in range(4)} == {b"1"}
        proxy.update([route(2, protocol=UDP)])
        assert {asked(client) for _ in range(4)} == {b"2"}


def test_two_flows_of_one_port_go_each_where_it_was_sent(made: Rig, proxy: ProxyClient) -> None:
    proxy.configure(udp_idle_s=60)
    proxy.update([route(1, protocol=UDP, vip=1), route(2, protocol=UDP, vip=2)])
    with answering(made.answering(1), b"1"), answering(made.answering(2), b"2"), made.datagrams() as client:
        assert [asked(client, vip=vip) for vip in (1, 2, 1, 2)] == [b"1", b"2", b"1", b"2"]


def test_an_idle_flow_ends_and_the_next_datagram_begins_another(made: Rig, proxy: ProxyClient) -> None:
    proxy.configure(udp_idle_s=0.25)
    proxy.update([route(1, 2, protocol=UDP)])
    descriptors = Path(f"/proc/{proxy.pid}/fd")
    before = len(list(descriptors.iterdir()))
    with answering(made.answering(1), b"1"), answering(made.answering(2), b"2"), made.datagrams() as client:
        first = asked(client)
        eventually(lambda: len(list(descriptors.iterdir())) == before)
        assert asked(client) != first


def test_an_endpoint_may_take_longer_to_answer_than_a_flow_may_pause(made: Rig, proxy: ProxyClient) -> None:
    proxy.configure(udp_idle_s=0.05)
    proxy.update([route(1, protocol=UDP)])
    with made.answering(1) as server, made.datagrams() as client:
        client.sendto(b"who", (VIPS[Family.IPV4].format(1), 80))
        _, peer = server.recvfrom(2048)
        with made.datagrams() as other:
            # So many questions later.
            for _ in range(20):
                other.sendto(b"who", (VIPS[Family.IPV4].format(1), 80))
                server.sendto(b"soon", server.recvfrom(2048)[1])
                assert other.recv(2048) == b"soon"
                threading.Event().wait(0.01)
        server.sendto(b"late", peer)
        assert client.recv(2048) == b"late"


def test_a_datagram_to_an_address_without_route_is_not_answered(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, protocol=UDP)])
    with answering(made.answering(1), b"1"), made.datagrams() as client:
        client.sendto(b"who", (VIPS[Family.IPV4].format(9), 80))
        assert asked(client) == b"1"


def test_datagrams_as_large_as_they_get_pass(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, protocol=UDP)])
    octets = bytes(65_507)
    with made.answering(1) as server, made.datagrams() as client:
        client.sendto(octets, (VIPS[Family.IPV4].format(1), 80))
        arrived, peer = server.recvfrom(1 << 16)
        assert arrived == octets
        server.sendto(octets, peer)
        assert client.recv(1 << 16) == octets
