"""What the API server knows of a cluster before kube-proxy goes: the fields that the checks read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec


class NodeInfo(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    kernel_version: str = ""
    operating_system: str = "linux"


class NodeCondition(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class NodeStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    node_info: NodeInfo = NodeInfo()
    conditions: tuple[NodeCondition, ...] = ()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    metadata: Metadata
    status: NodeStatus = NodeStatus()

    @property
    def trouble(self) -> str:
        """Why the node is not ready, in kubelet's words, or for a silent one in the control plane's; empty if it is ready."""
        unknown = NodeCondition(type="Ready", status="Unknown", reason="NoStatus", message="the node has not reported yet")
        ready = next((each for each in self.status.conditions if each.type == "Ready"), unknown)
        return "" if ready.status == "True" else f"{ready.reason or 'NodeNotReady'}: {ready.message}"


class ServicePort(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    port: int
    protocol: str = "TCP"
    node_port: int = 0


class ServiceSpec(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    type: str = "ClusterIP"
    ports: tuple[ServicePort, ...] = ()
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    load_balancer_source_ranges: tuple[str, ...] = ()
    session_affinity: str = "None"
    external_traffic_policy: str = ""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    metadata: Metadata
    spec: ServiceSpec = ServiceSpec()

    @property
    def key(self) -> str:
        return f"{self.metadata.namespace}/{self.metadata.name}"


@dataclass(frozen=True, slots=True)
class ProxyPod:
    """A pod of another proxy; `owner` is its DaemonSet, as `namespace/name`."""

    node: str
    owner: str


@dataclass(frozen=True, slots=True)
class KubeProxy:
    """What is changed from: `spec` behaves as kube-proxy does now."""

    mode: Mode
    spec: ProxyConfigSpec
    serves_localhost: bool = False
    serves_external_ips: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    before: KubeProxy
    after: ProxyConfigSpec
    nodes: tuple[Node, ...] = ()
    """Those that the ProxyConfig selects."""
    services: tuple[Service, ...] = ()
    agents: Mapping[str, NodeProxy] = field(default_factory=dict)
    """By the name of the node; a node without an agent has none."""
    proxies: tuple[ProxyPod, ...] = ()
