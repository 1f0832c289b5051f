"""The proxy process on a node between a client and endpoints, behind redirect rules of the test's own."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.kernel.node.udp import Table
from tests.support.netns.namespace import Namespace, namespaces
from tests.support.netns.topology import NEUTRAL

from proxyconfig_agent.dataplane.userspace.kernel.listeners import Listeners
from proxyconfig_agent.dataplane.userspace.kernel.proxy_client import ProxyClient
from proxyconfig_agent.dataplane.userspace.model.entrances import Entrance
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.dataplane.userspace.proxy.sockets import packed_of
from proxyconfig_agent.ingest.model import Family, Protocol

PATIENCE_S = 30
ENDPOINTS = {Family.IPV4: "10.1.0.{}", Family.IPV6: "fd00:1::{}"}
VIPS = {Family.IPV4: "10.96.0.{}", Family.IPV6: "fd00:96::{}"}
CLIENT = {Family.IPV4: "10.2.0.1", Family.IPV6: "fd00:2::1"}
NODE = {Family.IPV4: "10.2.0.2", Family.IPV6: "fd00:2::2"}
KINDS = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
COUNT = 5
"""Addresses of endpoints."""

_RULES = """
table {ip} portals {{
    chain prerouting {{
        type nat hook prerouting priority dstnat
        {ip} daddr {vips} meta l4proto tcp dnat to {node}:{tcp}
        {ip} daddr {vips} meta l4proto udp dnat to {node}:{udp}
    }}
}}
"""


@dataclass
class Rig:
    client: Namespace
    node: Namespace
    backend: Namespace
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def connected(self, family: Family = Family.IPV4, vip: int = 1, port: int = 80, source_port: int = 0) -> socket.socket:
        """A client's TCP connection to a VIP."""
        made = self.client.call(socket.socket, KINDS[family], socket.SOCK_STREAM)
        made.settimeout(PATIENCE_S)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source_port:
            made.bind((CLIENT[family], source_port))
        try:
            made.connect((VIPS[family].format(vip), port))
        except OSError:
            made.close()
            raise
        return made

    def datagrams(self, family: Family = Family.IPV4, source_port: int = 0) -> socket.socket:
        """A client's UDP socket."""
        made = self.client.call(socket.socket, KINDS[family], socket.SOCK_DGRAM)
        made.settimeout(PATIENCE_S)
        made.bind((CLIENT[family], source_port))
        return made

    def listening(self, number: int, family: Family = Family.IPV4, port: int = 8080, *, receive_buffer: int = 0) -> socket.socket:
        """A TCP server's socket at an endpoint's address."""
        made = self.backend.call(socket.socket, KINDS[family], socket.SOCK_STREAM)
        made.settimeout(PATIENCE_S)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.bind((ENDPOINTS[family].format(number), port))
        made.listen(4096)
        return made

    def answering(self, number: int, family: Family = Family.IPV4, port: int = 8080) -> socket.socket:
        """A UDP server's socket at an endpoint's address."""
        made = self.backend.call(socket.socket, KINDS[family], socket.SOCK_DGRAM)
        made.settimeout(PATIENCE_S)
        made.bind((ENDPOINTS[family].format(number), port))
        return made


@contextlib.contextmanager
def rig() -> Iterator[Rig]:
    """Client, node and endpoints, joined; the node's rules are to come."""
    with namespaces("client", "node", "backend") as spaces:
        for space in spaces.values():
            space.sysctl(NEUTRAL)
        client, node, backend = spaces["client"], spaces["node"], spaces["backend"]
        node.ip([f"link add clients type veth peer name eth0 netns {client.name}", "link set clients up"])
        node.ip([f"link add endpoints type veth peer name eth0 netns {backend.name}", "link set endpoints up"])
        for space in (client, backend):
            space.ip(["link set eth0 up"])
        for family in Family:
            wide, nodad = (24, "") if family is Family.IPV4 else (64, " nodad")
            node.ip([f"addr add {NODE[family]}/{wide} dev clients{nodad}"])
            node.ip([f"addr add {ENDPOINTS[family].format(250)}/{wide} dev endpoints{nodad}"])
            client.ip([f"addr add {CLIENT[family]}/{wide} dev eth0{nodad}", f"route add default via {NODE[family]}"])
            backend.ip([f"addr add {ENDPOINTS[family].format(number)}/{wide} dev eth0{nodad}" for number in range(1, COUNT + 1)])
            backend.ip([f"route add default via {ENDPOINTS[family].format(250)}"])
        yield Rig(client, node, backend)


@contextlib.contextmanager
def proxying(made: Rig) -> Iterator[ProxyClient]:
    """A proxy process on the node that has all traffic to VIPs."""
    listeners = made.node.call(Listeners)
    proxy = made.node.call(ProxyClient, listeners)
    try:
        for family in Family:
            tcp, udp = (listeners.ports[Entrance(family, protocol, local=False)] for protocol in (Protocol.TCP, Protocol.UDP))
            vips = "10.96.0.0/16" if family is Family.IPV4 else "fd00:96::/64"
            ip, node = ("ip", NODE[family]) if family is Family.IPV4 else ("ip6", f"[{NODE[family]}]")
            made.node.run("nft", "-f", "-", stdin=_RULES.format(ip=ip, vips=vips, node=node, tcp=tcp, udp=udp))
        proxy.serve()
        yield proxy
    finally:
        made.node.run("nft", "flush", "ruleset")
        # A client whose port comes round again would be taken to the listeners of before.
        Table(made.node).empty()
        proxy.kill()
        listeners.close()


def route(
    *endpoints: int, family: Family = Family.IPV4, protocol: Protocol = Protocol.TCP, vip: int = 1, port: int = 80, affinity_s: int = 0
) -> Route:
    """From a VIP to endpoints by their numbers, at port 8080."""
    packed = b"".join(packed_of(family, ENDPOINTS[family].format(number), 8080) for number in endpoints)
    return Route(
        key=f"{family}/{protocol}/vip-{vip}:{port}",
        family=family,
        protocol=protocol,
        destinations=(packed_of(family, VIPS[family].format(vip), port),),
        node_port=0,
        cluster=packed,
        local=b"",
        serving=packed if protocol is Protocol.UDP else b"",
        affinity_s=affinity_s,
    )


@contextlib.contextmanager
def naming(listening: socket.socket, name: bytes) -> Iterator[None]:
    """A server that sends its name on each connection, and closes it."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(name)

    with _serving(listening, serve):
        yield


@contextlib.contextmanager
def answering(datagrams: socket.socket, name: bytes) -> Iterator[None]:
    """A UDP server that answers its name to each datagram."""

    def serve() -> None:
        _, peer = datagrams.recvfrom(2048)
        datagrams.sendto(name, peer)

    with _serving(datagrams, serve):
        yield


@contextlib.contextmanager
def _serving(sock: socket.socket, serve: Callable[[], None]) -> Iterator[None]:
    """Call `serve` in a thread whenever the socket has something, and close it at the end."""
    stop, stopped = socket.socketpair()

    def work() -> None:
        while stopped not in (ready := select.select([sock, stopped], [], [])[0]):
            if ready:
                serve()

    with sock, stop, stopped:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.close()
            thread.join()
