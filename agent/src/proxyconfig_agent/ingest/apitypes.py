"""The fields that we need of Kubernetes' objects, as the API sends them. `msgspec` skips all others without making objects of them.

Everything may be absent or null: a malformed object of another client harms only itself.
"""

from __future__ import annotations

import msgspec

from proxyconfig_client.watch.objects import Metadata


class _Wire(msgspec.Struct, frozen=True, rename="camel", gc=False):
    pass


class FullMetadata(Metadata, frozen=True, rename="camel", gc=False):
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class ServicePort(_Wire, frozen=True):
    port: int
    name: str | None = None
    protocol: str | None = None
    node_port: int | None = None


class ClientIP(_Wire, frozen=True):
    timeout_seconds: int | None = None


class AffinityConfig(_Wire, frozen=True):
    client_ip: ClientIP | None = msgspec.field(name="clientIP", default=None)


class ServiceSpec(_Wire, frozen=True):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    cluster_ips: list[str] | None = msgspec.field(name="clusterIPs", default=None)
    external_ips: list[str] | None = msgspec.field(name="externalIPs", default=None)
    ports: list[ServicePort] | None = None
    load_balancer_source_ranges: list[str] | None = None
    internal_traffic_policy: str | None = None
    external_traffic_policy: str | None = None
    health_check_node_port: int | None = None
    session_affinity: str | None = None
    session_affinity_config: AffinityConfig | None = None


class Ingress(_Wire, frozen=True):
    ip: str | None = None
    ip_mode: str | None = None


class LoadBalancer(_Wire, frozen=True):
    ingress: list[Ingress] | None = None


class ServiceStatus(_Wire, frozen=True):
    load_balancer: LoadBalancer | None = None


class Service(_Wire, frozen=True):
    metadata: FullMetadata
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None


class Named(_Wire, frozen=True):
    name: str = ""


class Hints(_Wire, frozen=True):
    for_zones: list[Named] | None = None
    for_nodes: list[Named] | None = None


class Conditions(_Wire, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(_Wire, frozen=True):
    addresses: list[str] | None = None
    conditions: Conditions | None = None
    node_name: str | None = None
    hints: Hints | None = None


class SlicePort(_Wire, frozen=True):
    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class EndpointSlice(_Wire, frozen=True):
    metadata: FullMetadata
    address_type: str = ""
    endpoints: list[Endpoint] | None = None
    ports: list[SlicePort] | None = None


class NodeAddress(_Wire, frozen=True):
    type: str = ""
    address: str = ""


class Taint(_Wire, frozen=True):
    key: str = ""


class NodeSpec(_Wire, frozen=True):
    pod_cidr: str | None = msgspec.field(name="podCIDR", default=None)
    pod_cidrs: list[str] | None = msgspec.field(name="podCIDRs", default=None)
    taints: list[Taint] | None = None


class NodeStatus(_Wire, frozen=True):
    addresses: list[NodeAddress] | None = None


class Node(_Wire, frozen=True):
    metadata: FullMetadata
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class ServiceCIDRSpec(_Wire, frozen=True):
    cidrs: list[str] | None = None


class ServiceCIDR(_Wire, frozen=True):
    metadata: FullMetadata
    spec: ServiceCIDRSpec | None = None
