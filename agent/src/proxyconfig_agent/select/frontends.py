"""The result of `select`, the same for every mode: what a node answers for one Service port in one family."""

from __future__ import annotations

from typing import NamedTuple, NewType

from msgspec import Struct

from proxyconfig_agent.ingest.model import Address, Family, Network, Policy, Protocol, ServiceName

Backends = NewType("Backends", bytes)
"""Endpoints packed one behind the other, address (4 or 16 bytes) then port (2 bytes, big-endian), sorted, without duplicates."""


class PortName(NamedTuple):
    """The identity of a Service port; as text `namespace/name:port`, or `namespace/name` if the port has no name."""

    service: ServiceName
    port: str
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.service}:{self.port}" if self.port else str(self.service)


class Frontends(Struct, frozen=True):
    """The addresses of one Service port on this node, and the backends that were chosen for them.

    Decision table (kube-proxy's, the same in every mode):
    without any usable endpoint anywhere (`reachable` false) every address rejects;
    an address with policy Cluster goes to `cluster`; one with policy Local goes to `local`, and is dropped when that is empty,
    but pods and processes of this node reach external addresses through `cluster` (short-circuit).
    `source_ranges` protect `load_balancer_ips` only.
    """

    name: PortName
    family: Family
    port: int
    cluster_ip: Address | None
    external_ips: tuple[Address, ...] = ()
    load_balancer_ips: tuple[Address, ...] = ()
    node_port: int = 0
    health_check_node_port: int = 0
    """Of the Service, the same for all of its ports."""
    internal_policy: Policy = Policy.CLUSTER
    external_policy: Policy = Policy.CLUSTER
    """Already Cluster where the Service is not externally accessible (row 72 of kube-proxy's behaviour)."""
    affinity_s: int = 0
    source_ranges: tuple[Network, ...] = ()
    scheduler: str = ""
    """Of ipvs mode; empty: the one of the settings."""
    reachable: bool = False
    cluster: Backends = Backends(b"")
    local: Backends = Backends(b"")
    """Filled only when one of the policies is Local."""
    on_node: tuple[Address, ...] = ()
    """Addresses of the reachable backends that run on this node (or may, as nobody says where), sorted: they need hairpin masquerading."""
    serving: Backends = Backends(b"")
    """Of UDP ports only: all endpoints that still serve, in use here or not. A flow to another one is stale."""

    @property
    def is_accessible(self) -> bool:
        """Whether it has an address besides the ClusterIP."""
        return bool(self.node_port or self.external_ips or self.load_balancer_ips)

    @property
    def uses_cluster(self) -> bool:
        """Whether traffic goes to `cluster`: by policy, or by the short-circuit."""
        internal = self.cluster_ip is not None and self.internal_policy is Policy.CLUSTER
        return self.reachable and (internal or self.is_accessible)

    @property
    def uses_local(self) -> bool:
        """Whether traffic goes to `local`."""
        internal = self.cluster_ip is not None and self.internal_policy is Policy.LOCAL
        return self.reachable and (internal or (self.external_policy is Policy.LOCAL and self.is_accessible))


def count(backends: Backends, family: Family) -> int:
    return len(backends) // (family.size + 2)


def split(backends: Backends, family: Family) -> list[tuple[Address, int]]:
    """The backends as (address, port), for modes that need them one by one and for people."""
    step = family.size + 2
    return [
        (Address(backends[i : i + family.size]), int.from_bytes(backends[i + family.size : i + step]))
        for i in range(0, len(backends), step)
    ]
