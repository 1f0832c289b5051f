"""What kube-proxy makes in ipvs mode, by the names in its source (pkg/proxy/ipvs, Kubernetes 1.36), and which virtual servers are its own.

They have no mark. But kube-proxy binds the addresses of Services to the link `kube-ipvs0`, and keeps NodePorts in sets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct

from proxyconfig_agent.ingest.model import Address, Network, Protocol
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer

LINK = "kube-ipvs0"

_NODE_PORTS = {
    Protocol.TCP: ("NODE-PORT-TCP", "NODE-PORT-LOCAL-TCP"),
    Protocol.UDP: ("NODE-PORT-UDP", "NODE-PORT-LOCAL-UDP"),
    Protocol.SCTP: ("NODE-PORT-SCTP-HASH", "NODE-PORT-LOCAL-SCTP-HASH"),
}
_OTHERS = (
    "LOOP-BACK",
    "CLUSTER-IP",
    "EXTERNAL-IP",
    "EXTERNAL-IP-LOCAL",
    "LOAD-BALANCER",
    "LOAD-BALANCER-LOCAL",
    "LOAD-BALANCER-FW",
    "LOAD-BALANCER-SOURCE-IP",
    "LOAD-BALANCER-SOURCE-CIDR",
    "HEALTH-CHECK-NODE-PORT",
    "IPVS-IPS",
)
_PREFIXES = ("KUBE-", "KUBE-6-")
_LONGEST = 31


def _names(stem: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{stem}"[:_LONGEST] for prefix in _PREFIXES)


NODE_PORT_SETS = {protocol: tuple(name for stem in stems for name in _names(stem)) for protocol, stems in _NODE_PORTS.items()}
SETS = frozenset((*(name for names in NODE_PORT_SETS.values() for name in names), *(name for stem in _OTHERS for name in _names(stem))))


NodePort = tuple[int, int]
"""Protocol and port."""


class Traces(Struct, frozen=True):
    """What identifies kube-proxy's virtual servers."""

    bound: Collection[Address]
    """The addresses of its link."""
    on_node: Collection[Address]
    """Those of all other links: they serve NodePorts."""
    node_ports: Collection[NodePort]
    """In its sets, and of Services."""


def made_by_kube_proxy(unmarked: Iterable[VirtualServer], traces: Traces, excluded: Iterable[Network]) -> list[VirtualServer]:
    """Those without our mark that are kube-proxy's. What is `excluded` is another program's, whatever it looks like."""
    networks = tuple(excluded)
    return sorted(
        server for server in unmarked if _is_traced(server, traces) and not any(Address(server.address) in network for network in networks)
    )


def _is_traced(server: VirtualServer, traces: Traces) -> bool:
    if Address(server.address) in traces.bound:
        return True
    return Address(server.address) in traces.on_node and (server.protocol, server.port) in traces.node_ports
