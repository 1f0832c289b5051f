"""The spec of a ProxyConfig. Names, defaults and units are KubeProxyConfiguration's where the concept is the same.

`crds/proxyconfigs.yaml` is the same in the language of the API server; a test holds one against the other.
What each field does is written there, for `kubectl explain`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated

import msgspec

from proxyconfig_api.spec.agent import Agent
from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_api.values.cidr import ALL_ADDRESSES, Cidr, NodeAddresses
from proxyconfig_api.values.duration import Duration
from proxyconfig_api.values.selector import LabelSelector

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""The kernel keeps these numbers in 32 bits."""


class Mode(enum.StrEnum):
    NFTABLES = "nftables"
    IPTABLES = "iptables"
    IPVS = "ipvs"
    USERSPACE = "userspace"
    AUTO = "auto"


class Takeover(enum.StrEnum):
    """What an agent does on a node on which a kube-proxy runs. Rules that one has left are taken over, or removed, in each case but
    the last."""

    WAIT = "Wait"
    """Nothing is programmed until it has ended."""
    ADOPT = "Adopt"
    """The node is programmed beside it."""
    OBSERVE = "Observe"
    """Nothing is programmed, whether it runs or not: its rules are compared with those that the agent would have."""


class RemovalPolicy(enum.StrEnum):
    """What becomes of the rules of a node that leaves its ProxyConfig, and that no other one takes over."""

    REMOVE = "Remove"
    KEEP = "Keep"
    """The chains of iptables mode stay, for a kube-proxy to take over."""


class DetectLocalMode(enum.StrEnum):
    CLUSTER_CIDR = "ClusterCIDR"
    NODE_CIDR = "NodeCIDR"
    BRIDGE_INTERFACE = "BridgeInterface"
    INTERFACE_NAME_PREFIX = "InterfaceNamePrefix"


class Conntrack(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    max_per_core: Count = 32768
    """0: the limit is left alone, and `min` with it."""
    min: Count = 131072
    tcp_established_timeout: Duration = Duration(24 * 3600)
    """Of each timeout, 0 leaves the kernel's value alone."""
    tcp_close_wait_timeout: Duration = Duration(3600)
    tcp_be_liberal: bool = False
    udp_timeout: Duration = Duration(0)
    udp_stream_timeout: Duration = Duration(0)


class Kernel(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    modules: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = msgspec.field(default_factory=dict)


class Masquerade(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    all: bool = False
    bit: Annotated[int, msgspec.Meta(ge=0, le=31)] = 14


class LocalTraffic(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """How traffic of this node's pods is detected. ClusterCIDR without a CIDR, the default: it is not."""

    detect_local_mode: DetectLocalMode = DetectLocalMode.CLUSTER_CIDR
    cluster_cidrs: tuple[Cidr, ...] = msgspec.field(default=(), name="clusterCIDRs")
    bridge_interface: str = ""
    interface_name_prefix: str = ""


class NodePorts(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    addresses: NodeAddresses | None = None
    """None: the default of the mode; see `node_addresses`."""


class Sync(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    min_sync_period: Duration = Duration(0)
    full_sync_period: Duration = Duration(3600)
    drift_check_period: Duration = Duration(1)
    """How often to ask the kernel whether another program changed its rules; 0: never."""


class Nftables(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    localhost_node_ports: bool = False


class Iptables(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    localhost_node_ports: bool = True


class Ipvs(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    scheduler: str = "rr"
    exclude_cidrs: tuple[Cidr, ...] = msgspec.field(default=(), name="excludeCIDRs")
    bind_addresses: bool = False
    adopt_kube_proxy: bool = False
    strict_arp: bool = msgspec.field(default=False, name="strictARP")
    tcp_timeout: Duration = Duration(0)
    tcp_fin_timeout: Duration = Duration(0)
    udp_timeout: Duration = Duration(0)


class Userspace(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    udp_idle_timeout: Duration = Duration(0.25)


class ProxyConfigSpec(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What the nodes should do. `ProxyConfigSpec()` is valid: all nodes, nftables."""

    node_selector: LabelSelector = LabelSelector()
    priority: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] = 0
    rollout: Rollout = Rollout()
    agent: Agent = Agent()
    mode: Mode = Mode.NFTABLES
    drain_period: Duration = Duration(3600)
    """How long connections stay with ipvs or userspace mode after another one has taken over."""
    takeover: Takeover = Takeover.WAIT
    removal_policy: RemovalPolicy = RemovalPolicy.REMOVE
    conntrack: Conntrack = Conntrack()
    kernel: Kernel = Kernel()
    masquerade: Masquerade = Masquerade()
    local_traffic: LocalTraffic = LocalTraffic()
    node_ports: NodePorts = NodePorts()
    sync: Sync = Sync()
    nftables: Nftables | None = None
    iptables: Iptables | None = None
    ipvs: Ipvs | None = None
    userspace: Userspace | None = None

    @property
    def node_addresses(self) -> NodeAddresses:
        """Which addresses serve node ports: as written, else the node's primary ones in nftables mode and all in the others."""
        if self.node_ports.addresses is not None:
            return self.node_ports.addresses
        return NodeAddresses(primary=True) if self.mode in (Mode.NFTABLES, Mode.AUTO) else ALL_ADDRESSES

    def as_mode(self, mode: Mode) -> ProxyConfigSpec:
        """What a node does on which `auto` is this mode: which addresses serve node ports does not depend on the node's kernel."""
        return msgspec.structs.replace(self, mode=mode, node_ports=NodePorts(addresses=self.node_addresses))
