"""The configurations that scenarios run under, in words that every proxy's own configuration can be made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, Pair

CLUSTER_CIDR = Pair("10.244.0.0/16", "fd00:244::/32")
"""Pods of all nodes."""
POD_INTERFACES = "veth-"
"""How the node's ends of its pods' veth pairs begin."""
POD_INTERFACE = "veth-client"


@dataclass(frozen=True, slots=True)
class Config:
    """What differs from a proxy's defaults."""

    name: str
    detect: str = "NodeCIDR"
    """How pods of this node are recognised: NodeCIDR, ClusterCIDR, InterfaceNamePrefix, BridgeInterface; or not at all (empty)."""
    masquerade_all: bool = False
    node_port_addresses: tuple[str, ...] = ("primary",)
    """`primary`, or CIDRs; empty: every address of the node."""
    localhost_node_ports: bool = False
    """Whether 127.0.0.1 serves NodePorts where the node's addresses for them hold it; only the iptables mode can."""


BOTH_ADDRESSES = (f"{NODE.v4}/32", f"{NODE.v6}/128", f"{NODE_ALTERNATIVE.v4}/32", f"{NODE_ALTERNATIVE.v6}/128")

CONFIGS: Mapping[str, Config] = {
    config.name: config
    for config in (
        Config("default"),
        Config("cluster-cidr", detect="ClusterCIDR"),
        Config("interface-prefix", detect="InterfaceNamePrefix"),
        Config("bridge-interface", detect="BridgeInterface"),
        Config("no-detector", detect=""),
        Config("masquerade-all", masquerade_all=True),
        Config("masquerade-all-no-detector", detect="", masquerade_all=True),
        Config("node-port-cidrs", node_port_addresses=BOTH_ADDRESSES),
        Config("node-port-cidr-of-ipv4", node_port_addresses=(f"{NODE.v4}/32",)),
        Config("node-port-cidr-of-ipv6", node_port_addresses=(f"{NODE.v6}/128",)),
        Config("node-port-everywhere", node_port_addresses=()),
        Config("localhost-node-ports", node_port_addresses=(), localhost_node_ports=True),
        Config("node-port-loopback", node_port_addresses=("127.0.0.0/8", "::1/128", f"{NODE.v4}/32", f"{NODE.v6}/128")),
    )
}
