"""Where the traffic of one Service port goes: which of its chains there are, and which one each kind of address leads to. Pure.

The conditions are kube-proxy's (pkg/proxy/iptables/proxier.go, syncProxyRules). A Service port is accessible from outside if it has
an external address in this family; a Service that could have one but has none yet is not.
"""

from __future__ import annotations

from msgspec import Struct

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.endpoint_chains import Endpoint, endpoints_of
from proxyconfig_agent.ingest.model import Policy
from proxyconfig_agent.select.frontends import Backends, Frontends

_NONE = Backends(b"")


class ServiceChains(Struct, frozen=True):
    """The chains' names, and what is in the two lists; an empty list has no chain."""

    frontends: Frontends
    name: str
    """`namespace/name:port`."""
    protocol: str
    """The match of the protocol, `-m tcp -p tcp`."""
    hash: str
    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]

    @property
    def internal(self) -> str:
        """The chain for traffic to the ClusterIP; empty if that is refused."""
        by_local = self.frontends.internal_policy is Policy.LOCAL
        return self.local_chain if by_local else self.cluster_chain

    @property
    def external(self) -> str:
        """The chain for traffic to external addresses that nothing short-circuits; empty if that is refused."""
        return self.local_chain if self.external_is_local else self.cluster_chain

    @property
    def external_is_local(self) -> bool:
        return self.frontends.external_policy is Policy.LOCAL

    @property
    def cluster_chain(self) -> str:
        return chain_names.CLUSTER + self.hash if self.cluster else ""

    @property
    def local_chain(self) -> str:
        return chain_names.LOCAL + self.hash if self.local else ""

    @property
    def external_chain(self) -> str:
        return chain_names.EXTERNAL + self.hash

    @property
    def firewall_chain(self) -> str:
        return chain_names.FIREWALL + self.hash

    @property
    def firewalled(self) -> bool:
        """Whether the load balancer's addresses are open to some sources only."""
        return bool(self.frontends.reachable and self.frontends.load_balancer_ips and self.frontends.source_ranges)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those of either list, each once."""
        return tuple(dict.fromkeys(self.cluster + self.local)) if self.local else self.cluster


def targets_of(frontends: Frontends) -> ServiceChains:
    """Decide where the traffic of one Service port goes."""
    protocol = frontends.name.protocol.name.lower()
    return ServiceChains(
        frontends=frontends,
        name=chain_names.words_of(frontends.name),
        protocol=f"-m {protocol} -p {protocol}",
        hash=chain_names.hash_of(frontends.name),
        cluster=endpoints_of(frontends, frontends.cluster if frontends.uses_cluster else _NONE),
        local=endpoints_of(frontends, frontends.local if frontends.uses_local else _NONE),
    )
