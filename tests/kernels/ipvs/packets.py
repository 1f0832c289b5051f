"""A node with endpoints and clients around it, and Services on it, for tests of ipvs mode with real packets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.netns.peers import Prober, echoing, probing
from tests.support.netns.talker import Talker
from tests.support.netns.topology import NODE, POD_CIDR, PODS, PODS2, SERVICE_CIDR, Topology, topology
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.ipvs.mode import NEEDED
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.select.frontends import Frontends

PORTS = (8080, 9090)
TALKING = 7070
FAMILIES = (4, 6)
SETTINGS = Settings(
    local_traffic=LocalTraffic(cidrs=tuple(map(network, POD_CIDR.both))),
    node_port_addresses=tuple(map(ip, NODE.both)),
    node_addresses=tuple(map(ip, NODE.both)),
    service_cidrs=tuple(map(network, SERVICE_CIDR.both)),
)


@dataclass(frozen=True, slots=True)
class Served:
    """The node's surroundings, with a client process in each of some places."""

    topology: Topology
    probers: Mapping[str, Prober]

    def asked(self, client: str, address: str, port: int = 80, protocol: str = "tcp") -> dict[str, set[str]]:
        """Who answers, and which clients it saw."""
        flow = {"address": address, "port": port, "protocol": protocol, "attempts": 24, "enough": 9}
        found: dict[str, set[str]] = {}
        for answer in self.probers[client].ask([flow])[0]:
            name, _, rest = answer.partition(" ")
            found.setdefault(name, set()).add(rest.partition(" ")[0])
        return found

    def silence(self, client: str, address: str, protocol: str = "tcp") -> set[str]:
        """What becomes of one question to port 80: DROP, if no answer comes, not even a refusal. Kernels answer within two seconds."""
        flow = {"address": address, "port": 80, "protocol": protocol, "patience_s": 2}
        return {answer.partition(" ")[0] for answer in self.probers[client].ask([flow])[0]}

    @contextlib.contextmanager
    def connected(self, address: str) -> Iterator[socket.socket]:
        """A connection of a pod, through which it has spoken with a Talker."""

        def connect() -> socket.socket:
            return socket.create_connection((address, 80), timeout=20)

        with self.topology["client"].call(connect) as made:
            assert self.answer(made)
            yield made

    def answer(self, connection: socket.socket) -> str:
        """What a Talker says."""
        connection.sendall(b"x")
        return connection.recv(100).decode()


@contextlib.contextmanager
def served() -> Iterator[Served]:
    with topology() as made, contextlib.ExitStack() as processes:
        for pod, addresses in (("near1", PODS["near1"]), ("far1", PODS2["far1"])):
            processes.enter_context(echoing(made[pod], pod, addresses.both, PORTS))
            for address in addresses.both:
                processes.enter_context(contextlib.closing(Talker(made[pod], pod, address, TALKING)))
        processes.enter_context(echoing(made.node, "host", NODE.both, (9999,)))
        made.node.sysctl(NEEDED)
        clients = {name: processes.enter_context(probing(made[name])) for name in ("client", "near1", "node", "outside")}
        yield Served(made, clients)


def service_ip(family: int, number: int) -> str:
    return f"10.96.0.{number}" if family == 4 else f"fd00:10:96::{number}"


def public_ip(family: int, number: int) -> str:
    return f"192.168.60.{number}" if family == 4 else f"fd00:60::{number}"


def endpoint(pod: str, family: int, port: int = 8080) -> str:
    address = {**PODS, **PODS2}[pod][family]
    return f"{address}:{port}" if family == 4 else f"[{address}]:{port}"


def service(family: int, number: int, *pods: str, target: int = 8080, **fields: Any) -> Frontends:
    near = (ip(PODS["near1"][family]),) if "near1" in pods else ()
    endpoints = tuple(endpoint(pod, family, target) for pod in pods)
    return frontends(f"s{number}", service_ip(family, number), endpoints, on_node=near, **fields)
