"""What the rest of the pipeline knows of the cluster: Services, EndpointSlices and this node, as immutable values.

Addresses are packed (`bytes` in network order, 4 or 16 long): at 5,000 Services × 10 endpoints objects per address
would cost more memory than everything else together. They are made into text only for people.
"""

from __future__ import annotations

import enum
import socket
from dataclasses import dataclass, field
from typing import NamedTuple, NewType

from msgspec import Struct

Address = NewType("Address", bytes)
"""An IP address in network order: 4 bytes, or 16."""

NodeName = NewType("NodeName", str)


class Family(enum.IntEnum):
    IPV4 = 4
    IPV6 = 6

    @property
    def size(self) -> int:
        """Bytes of an address."""
        return 4 if self is Family.IPV4 else 16


ANY = {family: Address(bytes(family.size)) for family in Family}
"""The unspecified address of each family. Where something is served, it stands for every address of the node."""


class Protocol(enum.IntEnum):
    """By the numbers that the kernel uses (IPPROTO_*)."""

    TCP = 6
    UDP = 17
    SCTP = 132


class Policy(enum.Enum):
    """internalTrafficPolicy and externalTrafficPolicy."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


def family_of(address: Address) -> Family:
    return Family.IPV4 if len(address) == 4 else Family.IPV6


def text_of(address: Address) -> str:
    """The canonical text of an address, for logs, comments and Events."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


class Network(Struct, frozen=True):
    """A CIDR: the masked base address and the number of leading bits."""

    base: Address
    prefix: int

    def __contains__(self, address: Address) -> bool:
        if len(address) != len(self.base):
            return False
        host_bits = 8 * len(self.base) - self.prefix
        return int.from_bytes(address) >> host_bits == int.from_bytes(self.base) >> host_bits

    def __str__(self) -> str:
        return f"{text_of(self.base)}/{self.prefix}"


class ServiceName(NamedTuple):
    """A tuple, as it is the key of many dictionaries: its hash takes a fifth of the time of a dataclass's."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ServicePort(Struct, frozen=True):
    """One entry of `spec.ports`. `node_port` is 0 where there is none."""

    name: str
    protocol: Protocol
    port: int
    node_port: int = 0


class Service(Struct, frozen=True):
    """A Service that a proxy serves: not headless, not ExternalName, not another proxy's.

    Addresses of both families stand side by side; `select` takes those of one family.
    `rejected` are the parts that cannot be programmed, each as a sentence for an Event on the Service.
    """

    name: ServiceName
    uid: str
    ports: tuple[ServicePort, ...]
    cluster_ips: tuple[Address, ...]
    external_ips: tuple[Address, ...] = ()
    load_balancer_ips: tuple[Address, ...] = ()
    source_ranges: tuple[Network, ...] = ()
    """None of a family: everybody of that family. A /0 among them has already taken the others of its family away."""
    internal_policy: Policy = Policy.CLUSTER
    external_policy: Policy = Policy.CLUSTER
    externally_accessible: bool = False
    """By its spec (NodePort, LoadBalancer or externalIPs), whether or not an address is assigned yet; or by an address in its status, which
    a former LoadBalancer may keep."""
    affinity_s: int = 0
    """Seconds of ClientIP session affinity; 0: none."""
    health_check_node_port: int = 0
    """Only for a LoadBalancer with externalTrafficPolicy Local; else 0."""
    scheduler: str = ""
    """Of ipvs mode, by annotation; empty: the ProxyConfig's."""
    rejected: tuple[str, ...] = ()
    is_dns: bool = False
    """Has the label k8s-app=kube-dns, as the Services of kube-dns and CoreDNS have."""
    created: str = ""
    """creationTimestamp, as text: what the API server writes sorts by time."""


class Traits(Struct, frozen=True):
    """What endpoints have in common; one object for all endpoints with the same traits (interned by ingest)."""

    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: NodeName | None = None
    zone_hints: frozenset[str] = frozenset()
    node_hints: frozenset[NodeName] = frozenset()


class SlicePort(Struct, frozen=True):
    """A port of an EndpointSlice; nil or 0 numbers are already left out (kube-proxy skips them)."""

    name: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """An EndpointSlice of one family. Endpoint i has `addresses[i*size:(i+1)*size]` and `traits[i]`."""

    name: str
    service: ServiceName
    family: Family
    ports: tuple[SlicePort, ...]
    addresses: bytes
    traits: tuple[Traits, ...]
    rejected: tuple[str, ...] = ()
    """What of it cannot be used, each as a sentence for an Event on the Service."""
    triggered_at: float = field(default=0.0, compare=False)
    """`endpoints.kubernetes.io/last-change-trigger-time`, Unix seconds; 0 where absent. No difference between values."""


class Node(Struct, frozen=True):
    """This node, as the API and the kernel describe it. Everything in it may change while the agent runs."""

    name: NodeName
    zone: str = ""
    addresses: tuple[Address, ...] = ()
    """status.addresses, InternalIPs first, then ExternalIPs; both families."""
    pod_cidrs: tuple[Network, ...] = ()
    deleted: bool = False
    """Has a deletionTimestamp, or the taint ToBeDeletedByClusterAutoscaler: /healthz fails, /livez does not."""
