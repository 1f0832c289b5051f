"""A packet outside of a connection's window (row 124): conntrack does not translate it back, and a client that sees it resets."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from tests.kernel.node.udp import CLUSTER_IP, PORT, ready, served_by, service
from tests.kernel.traffic.inprocess import Pipeline
from tests.support.netns.topology import PODS, Topology
from tests.support.scenarios.configs import CONFIGS

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

SERVER_PORT = 7071
LIBERAL = "net.netfilter.nf_conntrack_tcp_be_liberal"
ACK = 0x10
AHEAD = 1 << 28


def checksum(octets: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: str, destination: str, destination_port: int, like: bytes) -> bytes:
    """A TCP segment with a good checksum, as that one of the same connection, but far ahead of the window."""
    sequence, acknowledged = struct.unpack_from(">II", like, 4)
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    ahead = (sequence + AHEAD) % (1 << 32)
    head = struct.pack(">HHIIBBHHH", SERVER_PORT, destination_port, ahead, acknowledged, 5 << 4, ACK, 1024, 0, 0)
    check = checksum(addresses + struct.pack(">BBH", 0, socket.IPPROTO_TCP, len(head)) + head)
    return head[:16] + struct.pack(">H", check) + head[18:]


@contextlib.contextmanager
def connected(world: Topology) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection of a pod to a Service: its end, and the backend's."""
    with (
        world["near1"].call(socket.create_server, (PODS["near1"].v4, SERVER_PORT)) as listener,
        world["client"].call(socket.create_connection, (CLUSTER_IP.v4, PORT), 5) as client,
        listener.accept()[0] as server,
    ):
        client.sendall(b"hello")
        assert server.recv(10) == b"hello"
        yield client, server


def raw_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)


def heard(ears: socket.socket, sender: str, port: int, within_s: float = 30) -> bytes:
    """The next TCP segment from there; nothing if there is none within this time."""
    ears.settimeout(0.1)
    ended = time.monotonic() + within_s
    while time.monotonic() < ended:
        with contextlib.suppress(TimeoutError):
            datagram, (address, _) = ears.recvfrom(2048)
            if address == sender and datagram[20:22] == port.to_bytes(2):
                return datagram[20:]
    return b""


def seen_by_client(world: Topology, client: socket.socket, server: socket.socket, within_s: float) -> bool:
    """Inject the packet at the backend; whether it reaches the client from the backend's own address within this time."""
    with world["client"].call(raw_socket) as ears, world["near1"].call(raw_socket) as mouth:
        server.sendall(b"hello")
        like = heard(ears, CLUSTER_IP.v4, PORT)
        assert client.recv(10) == b"hello"
        injected = packet(PODS["near1"].v4, PODS["client"].v4, client.getsockname()[1], like)
        mouth.sendto(injected, (PODS["client"].v4, 0))
        return heard(ears, PODS["near1"].v4, SERVER_PORT, within_s) != b""


def goes_on(client: socket.socket, server: socket.socket) -> bool:
    """Whether the connection still works."""
    try:
        client.sendall(b"still there")
        return server.recv(20) == b"still there"
    except ConnectionError:
        return False


@pytest.fixture
def liberal(request: pytest.FixtureRequest, world: Topology) -> Iterator[None]:
    world.node.sysctl({LIBERAL: str(request.param)})
    yield
    world.node.sysctl({LIBERAL: "0"})


@pytest.mark.usefixtures("liberal")
@pytest.mark.parametrize(
    ("mode", "liberal", "survives"),
    [
        pytest.param("iptables", 0, True, id="iptables drops what is INVALID"),
        pytest.param("iptables", 1, True, id="iptables with tcpBeLiberal: nothing is INVALID"),
        pytest.param("nftables", 1, True, id="nftables with tcpBeLiberal: nothing is INVALID"),
        pytest.param("nftables", 0, False, id="nftables without it: as with kube-proxy, the client resets"),
    ],
    indirect=["liberal"],
)
def test_row_124_a_connection_survives_an_out_of_window_packet(world: Topology, mode: str, survives: bool) -> None:
    objects = service(ready("near1"), ports=[{"name": "dns", "protocol": "TCP", "port": PORT, "targetPort": SERVER_PORT}])
    for (kind, _, _), one in objects.items():
        if kind == "EndpointSlice":
            one["ports"] = [{"name": "dns", "protocol": "TCP", "port": SERVER_PORT}]
    with served_by(world, mode) as dataplane:
        Pipeline(world, dataplane, CONFIGS["default"], mode).apply(objects)
        with connected(world) as (client, server):
            assert seen_by_client(world, client, server, within_s=1 if survives else 30) is not survives
            assert goes_on(client, server) is survives
