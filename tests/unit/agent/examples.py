"""Values for tests of the agent: short to write, complete, different from each other where it matters."""

from __future__ import annotations

import socket
from typing import Any

from proxyconfig_agent.ingest.model import (
    Address,
    EndpointSlice,
    Family,
    Node,
    NodeName,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    SlicePort,
    Traits,
)

NODE = Node(name=NodeName("here"), zone="a")


def ip(text: str) -> Address:
    return Address(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))


def service(name: str = "web", cluster_ip: str = "10.96.0.10", **fields: Any) -> Service:
    defaults: dict[str, Any] = {
        "uid": f"uid-{name}",
        "ports": (ServicePort("http", Protocol.TCP, 80),),
        "cluster_ips": (ip(cluster_ip),),
    }
    return Service(name=ServiceName("shop", name), **(defaults | fields))


def ready(node: str | None = "there", **fields: Any) -> Traits:
    return Traits(node=NodeName(node) if node else None, **fields)


def draining(node: str = "there", *, serving: bool = True) -> Traits:
    return ready(node, ready=False, serving=serving, terminating=True)


def unready(node: str = "there") -> Traits:
    return ready(node, ready=False, serving=False)


def piece(
    *endpoints: tuple[str, Traits],
    of: str = "web",
    name: str = "web-1",
    ports: tuple[SlicePort, ...] = (SlicePort("http", Protocol.TCP, 8080),),
    **fields: Any,
) -> EndpointSlice:
    """An EndpointSlice of endpoints as (address, traits)."""
    family = Family.IPV6 if endpoints and ":" in endpoints[0][0] else Family.IPV4
    return EndpointSlice(
        name=name,
        service=ServiceName("shop", of),
        family=family,
        ports=ports,
        addresses=b"".join(ip(address) for address, _ in endpoints),
        traits=tuple(traits for _, traits in endpoints),
        **fields,
    )
