"""Health check node ports: a Service that has one, and what the node answers there."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.kernel.node.udp import Endpoint
from tests.support.netns.topology import NODE, Pair, Topology
from tests.support.polling import eventually
from tests.support.scenarios.book import NETNS
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

NAMESPACE = "checked"
PORT, NODE_PORT = 32751, 32752
WITHIN_S = 60
CLOSING = b"GET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
REQUESTS = (
    b"GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n",
    b"GET /anything?at=all HTTP/1.1\r\nHost: node\r\nUser-Agent: GoogleHC/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: node\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n\r\n",
    CLOSING,
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: node\r\n\r\nGET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n",
    b"nonsense\r\n\r\n",
)


def balanced(*endpoints: Endpoint, port: int = PORT, **spec: Any) -> dict[Key, Object]:
    """A LoadBalancer with policy Local in both families, with two ports; `spec` changes it."""
    pair = ["10.96.0.210", "fd00:10:96::d2"]
    ports = [{"name": "web", "port": 80, "targetPort": 8080, "nodePort": NODE_PORT}, {"name": "alt", "port": 81, "targetPort": 9090}]
    spec = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": port,
        "clusterIP": pair[0],
        "clusterIPs": pair,
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [ports[0], {**ports[1], "nodePort": NODE_PORT + 1}],
        **spec,
    }
    metadata = {"namespace": NAMESPACE, "name": "web"}
    spec = {name: value for name, value in spec.items() if value is not None}
    objects: dict[Key, Object] = {
        ("Service", NAMESPACE, "web"): {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    }
    for family in (4, 6):
        objects["EndpointSlice", NAMESPACE, f"web-{family}"] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": NAMESPACE, "name": f"web-{family}", "labels": {SERVICE_LABEL: "web"}},
            "addressType": f"IPv{family}",
            "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}, {"name": "alt", "port": 9090, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": [NETNS.places[each.place][family]],
                    "nodeName": NETNS.nodes[each.place],
                    "conditions": dict(each.conditions),
                }
                for each in endpoints
            ],
        }
    return objects


def exchange(world: Topology, address: str, port: int, request: bytes, quiet_s: float = 6) -> tuple[str, bool]:
    """Everything that comes back for a request from outside, but for the time of day, and whether the connection was closed then.

    Where nothing more comes for so long, it stays open."""

    def talk() -> tuple[str, bool]:
        received, closed = b"", False
        with socket.create_connection((address, port), timeout=30) as connection:
            connection.sendall(request)
            while not closed:
                connection.settimeout(quiet_s if received else 30)
                try:
                    part = connection.recv(65536)
                except TimeoutError:
                    break
                received, closed = received + part, not part
        return re.sub(r"(?m)^Date: .*GMT\r$", "Date: now", received.decode()), closed

    return world["outside"].call(talk)


def exchanges(world: Topology) -> list[tuple[str, bool]]:
    """What comes back for all requests at both addresses of the node, in order; all at the same time, as it takes long to be sure."""
    requests = [(address, request) for request in REQUESTS for address in NODE.both]
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda each: exchange(world, each[0], PORT, each[1]), requests))


def status(world: Topology, address: str, port: int = PORT) -> str:
    """`200 2`: the status and how many endpoints; or what became of the connection."""
    try:
        told, _ = exchange(world, address, port, CLOSING, quiet_s=30)
    except OSError as error:
        return type(error).__name__
    weight = re.search(r"^X-Load-Balancing-Endpoint-Weight: (\d+)", told, re.MULTILINE)
    return f"{told.split()[1]} {weight[1]}" if weight else told


def everywhere(world: Topology, wanted: str, port: int = PORT, addresses: Pair = NODE) -> None:
    for address in addresses.both:
        eventually(lambda address=address: status(world, address, port), within_s=WITHIN_S, until=lambda got: got == wanted)  # type: ignore[misc]
