"""UDP flows of a real kernel: found, told apart and ended, so that a client that never stops sending reaches the new endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import pytest
from tests.support.netns.namespace import Namespace, namespaces
from tests.support.polling import eventually

from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Change, Settings
from proxyconfig_agent.ingest.model import Address, Family, Protocol, ServiceName
from proxyconfig_agent.netlink import frames, uapi
from proxyconfig_agent.netlink.frames import attribute, nested
from proxyconfig_agent.node.conntrack import ctnetlink
from proxyconfig_agent.node.conntrack.cleaner import ConntrackCleaner
from proxyconfig_agent.node.conntrack.stale import Flow, Lookup, Stale
from proxyconfig_agent.select.frontends import Backends, Frontends, PortName

pytestmark = pytest.mark.kernel

VIP = {Family.IPV4: "10.96.0.10", Family.IPV6: "fd00:96::a"}
PODS = {Family.IPV4: ("10.244.0.1", "10.244.0.2"), Family.IPV6: ("fd00:244::1", "fd00:244::2")}
NODE_PORT = 30053
PORT = (53).to_bytes(2)
FLOW_TIMEOUT_S = 3600
"""Of the flows that `create` makes: longer than the test of them takes on any kernel."""


def packed(text: str) -> Address:
    return Address(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))


@dataclass(frozen=True, slots=True)
class Place:
    """A node whose one interface leads to a namespace with the addresses of all pods."""

    node: Namespace
    pods: Namespace

    def udp(self, inside: Namespace, address: str, port: int) -> socket.socket:
        def bound() -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((address, port))
            return made

        return inside.call(bound)


@pytest.fixture
def place() -> Iterator[Place]:
    with namespaces("node", "pods") as made:
        node, pods = made["node"], made["pods"]
        node.ip(
            [
                f"link add eth0 type veth peer name eth0 netns {pods.name}",
                "address add 192.0.2.1/24 dev eth0",
                "address add 2001:db8::1/64 dev eth0 nodad",
                "link set eth0 up",
                "route add default via 192.0.2.2",
            ]
        )
        pods.ip(
            [
                "address add 192.0.2.2/24 dev eth0",
                "address add 2001:db8::2/64 dev eth0 nodad",
                *(f"address add {address} dev lo" for address in PODS[Family.IPV4]),
                *(f"address add {address} dev lo nodad" for address in PODS[Family.IPV6]),
                "link set eth0 up",
            ]
        )
        node.ip(["route add ::/0 via 2001:db8::2"])
        node.sysctl({"net.ipv4.ip_forward": "1"})
        yield Place(node, pods)


def dns(family: Family, *serving: str) -> Frontends:
    backends = Backends(b"".join(packed(address) + (53).to_bytes(2) for address in serving))
    return Frontends(
        name=PortName(ServiceName("kube-system", "kube-dns"), "dns", Protocol.UDP),
        family=family,
        port=53,
        cluster_ip=packed(VIP[family]),
        node_port=NODE_PORT,
        reachable=bool(serving),
        cluster=backends,
        serving=backends,
    )


SETTINGS = Settings(node_port_addresses=(packed("192.0.2.1"), packed("2001:db8::1")))


class Node:
    """nftables mode and the cleaner in the node's namespace."""

    def __init__(self, place: Place) -> None:
        self._place, self.mode = place, place.node.call(Nftables)
        self._cleaner = ConntrackCleaner(ctnetlink, lambda: (), lambda *_: None, lambda _: None)
        self._dataplane = self._cleaner.after(self.mode)

    def resync(self, *wanted: Frontends) -> None:
        self._place.node.call(self._dataplane.resync, SETTINGS, wanted)
        assert self._place.node.call(self._cleaner.clean)

    def change(self, old: Frontends | None, new: Frontends | None) -> None:
        self._place.node.call(self._dataplane.apply, [Change(old, new)])
        assert self._place.node.call(self._cleaner.clean)


@pytest.fixture
def node(place: Place) -> Iterator[Node]:
    made = Node(place)
    made.resync()
    yield made
    made.mode.close()


def found(place: Place, family: Family, lookup: Lookup | None = None) -> list[Flow]:
    return place.node.call(lambda: list(ctnetlink.flows(family, lookup)))


def hears(server: socket.socket, send: Callable[[], object], within_s: float = 3) -> bool:
    """Whether what is sent now, once, arrives there."""
    server.settimeout(within_s)
    send()
    try:
        server.recv(10)
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.name.lower())
def test_a_client_that_never_stops_sending_follows_the_endpoints(place: Place, node: Node, family: Family) -> None:
    first, second = (place.udp(place.pods, address, 53) for address in PODS[family])
    client = place.udp(place.node, "::" if family is Family.IPV6 else "0.0.0.0", 40000)

    def send() -> None:
        with contextlib.suppress(OSError):  # told that nobody serves the address
            client.sendto(b"?", (VIP[family], 53))

    with first, second, client:
        nobody, one, two = dns(family), dns(family, PODS[family][0]), dns(family, PODS[family][1])
        node.change(None, one)
        assert eventually(lambda: hears(first, send, within_s=0.2))
        node.change(one, two)
        assert hears(second, send), "the old endpoint is gone"
        node.change(two, nobody)
        assert not hears(second, send, within_s=0.2), "nobody is left"
        node.change(nobody, one)
        assert hears(first, send), "somebody is there again"
        node.change(one, None)
        assert found(place, family, Lookup(PORT, packed(VIP[family]))) == []


def test_only_the_flows_of_that_destination_are_found_and_only_those_named_are_ended(place: Place, node: Node) -> None:
    node.change(None, dns(Family.IPV4, PODS[Family.IPV4][0]))
    lookup = Lookup(PORT, packed(VIP[Family.IPV4]))
    destination = lookup.address + lookup.port
    with place.udp(place.pods, PODS[Family.IPV4][0], 53):
        for port in range(40000, 40010):
            with place.udp(place.node, "0.0.0.0", port) as client:
                client.sendto(b"?", (VIP[Family.IPV4], 53))
                client.sendto(b"?", ("192.0.2.2", 5353))
        flows = found(place, Family.IPV4, lookup)
        assert {(flow.destination, flow.answers) for flow in flows} == {(destination, packed(PODS[Family.IPV4][0]) + PORT)}
        assert len(flows) == 10
        assert len(found(place, Family.IPV4, Lookup(PORT))) == 10
        place.node.call(ctnetlink.delete, Family.IPV4, [*flows[:4], flows[0]])
        assert len(found(place, Family.IPV4, lookup)) == 6
        assert len(found(place, Family.IPV4)) == 16


def test_the_first_resync_moves_flows_of_a_node_port_that_an_earlier_agent_left(place: Place, node: Node) -> None:
    one, two = dns(Family.IPV4, PODS[Family.IPV4][0]), dns(Family.IPV4, PODS[Family.IPV4][1])
    node.change(None, one)
    with place.udp(place.pods, PODS[Family.IPV4][1], 53) as second, place.udp(place.pods, "192.0.2.2", 40000) as client:
        client.sendto(b"?", ("192.0.2.1", NODE_PORT))
        assert not hears(second, lambda: client.sendto(b"?", ("192.0.2.1", NODE_PORT)), within_s=0.2)
        later = Node(place)
        later.resync(two)
        assert hears(second, lambda: client.sendto(b"?", ("192.0.2.1", NODE_PORT)))
        later.mode.close()


def create(family: Family, flows: Iterable[tuple[bytes, bytes, bytes]]) -> None:
    """Flows (client, destination, who answers; each address and port) as if packets had made them."""
    header, size = struct.pack("=BBH", socket.AF_INET if family is Family.IPV4 else socket.AF_INET6, 0, 0), int(family.size)

    def tuple_of(kind: int, source: bytes, destination: bytes) -> bytes:
        ip = nested(1, attribute(1, source[:size]), attribute(2, destination[:size]))
        return nested(kind, ip, nested(2, attribute(1, b"\x11"), attribute(2, source[size:]), attribute(3, destination[size:])))

    def message(client: bytes, destination: bytes, answers: bytes) -> bytes:
        body = tuple_of(1, client, destination) + tuple_of(2, answers, client) + attribute(uapi.CTA_TIMEOUT, FLOW_TIMEOUT_S.to_bytes(4))
        return frames.message(1 << 8, uapi.NLM_F_REQUEST | 0x600, header + body)

    messages = (message(*each) for each in flows)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sender:
        while part := b"".join(islice(messages, 256)):
            sender.send(part)


def test_tens_of_thousands_of_stale_flows_cost_little_memory_and_leave_the_event_loop_free(place: Place, node: Node) -> None:
    one, two = (dns(Family.IPV4, pod) for pod in PODS[Family.IPV4])
    node.change(None, one)
    here, vip = packed("192.0.2.1"), packed(VIP[Family.IPV4]) + PORT
    clients = [packed("10.0.0.1") + port.to_bytes(2) for port in range(1, 30_001)]
    place.node.call(create, Family.IPV4, ((client, vip, packed(PODS[Family.IPV4][0]) + PORT) for client in clients))
    place.node.call(create, Family.IPV4, [(here + PORT, vip, packed(PODS[Family.IPV4][1]) + PORT)])
    counted: list[Mapping[Stale, int]] = []
    cleaner = ConntrackCleaner(ctnetlink, lambda: (), lambda _family, reasons, _s: counted.append(reasons), lambda _: None)
    dataplane = cleaner.after(node.mode)
    place.node.call(dataplane.resync, SETTINGS, [one])
    place.node.call(dataplane.apply, [Change(one, two)])

    async def clean() -> int:
        turns, task = 0, asyncio.create_task(cleaner.run())
        while not counted:
            turns += 1
            await asyncio.sleep(0.001)
        task.cancel()
        return turns

    tracemalloc.start()
    try:
        turns = place.node.call(asyncio.run, clean())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert counted == [{Stale.ENDPOINT_GONE: len(clients)}]
    assert len(found(place, Family.IPV4)) == 1
    assert turns > 20
    assert peak < 6 << 20
