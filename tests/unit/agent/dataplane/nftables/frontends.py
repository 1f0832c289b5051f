"""Frontends for tests: short to write, in either family."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from proxyconfig_agent.ingest.model import Address, Family, Network, Protocol, ServiceName
from proxyconfig_agent.select.frontends import Backends, Frontends, PortName


def ip(text: str) -> Address:
    return Address(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))


def network(text: str) -> Network:
    address, _, prefix = text.partition("/")
    return Network(ip(address), int(prefix))


def backends(*endpoints: str) -> Backends:
    """Packed endpoints of texts like `10.0.0.1:80` or `[fd00::1]:80`."""
    packed = []
    for endpoint in endpoints:
        address, _, port = endpoint.rpartition(":")
        packed.append(ip(address.strip("[]")) + int(port).to_bytes(2))
    return Backends(b"".join(sorted(packed)))


def port_name(service: str = "web", port: str = "http", protocol: Protocol = Protocol.TCP) -> PortName:
    return PortName(ServiceName("shop", service), port, protocol)


def frontends(service: str = "web", cluster_ip: str = "10.96.0.10", cluster: tuple[str, ...] = (), **fields: Any) -> Frontends:
    """A Service port with a ClusterIP. It is reachable if it has endpoints, unless `reachable` says otherwise."""
    given: dict[str, Any] = {"port": 80, "local": (), "protocol": Protocol.TCP} | fields
    protocol, local = given.pop("protocol"), given.pop("local")
    return Frontends(
        name=port_name(service, given.pop("port_name", "http"), protocol),
        family=Family.IPV6 if ":" in cluster_ip else Family.IPV4,
        cluster_ip=ip(cluster_ip),
        cluster=backends(*cluster),
        local=backends(*local),
        reachable=given.pop("reachable", bool(cluster or local)),
        **given,
    )


def apart(ports: Iterable[Frontends], among: Iterable[Frontends] = ()) -> list[Frontends]:
    """The ports without what others of them, or those that are there already, have: as a mode is given them. The first has it."""
    owners: dict[object, PortName] = {}
    kept = []
    for is_there, port in [*((True, port) for port in among), *((False, port) for port in ports)]:

        def free(kind: object, port: Frontends = port) -> bool:
            return owners.setdefault((kind, port.name.protocol), port.name) == port.name

        mine = replace(
            port,
            cluster_ip=port.cluster_ip if port.cluster_ip and free((port.cluster_ip, port.port)) else None,
            external_ips=tuple(address for address in port.external_ips if free((address, port.port))),
            load_balancer_ips=tuple(address for address in port.load_balancer_ips if free((address, port.port))),
            node_port=port.node_port if free(port.node_port) else 0,
        )
        kept += [] if is_there else [mine]
    return kept
