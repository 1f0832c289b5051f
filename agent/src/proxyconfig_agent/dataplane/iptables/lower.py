"""Frontends to rules: pure, and the rules are kube-proxy's word for word (pkg/proxy/iptables/proxier.go, Kubernetes 1.36)."""

from __future__ import annotations

from proxyconfig_agent.dataplane.iptables.model import local_detector
from proxyconfig_agent.dataplane.iptables.model.chain_names import MARK_MASQ
from proxyconfig_agent.dataplane.iptables.model.dispatch_rules import captures, destination
from proxyconfig_agent.dataplane.iptables.model.endpoint_chains import Endpoint, choosing, reaching
from proxyconfig_agent.dataplane.iptables.model.external_rules import external, firewall
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features, PortRules, Rules
from proxyconfig_agent.dataplane.iptables.model.service_chains import ServiceChains, targets_of
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.select.frontends import Frontends


def lower(frontends: Frontends, settings: Settings, features: Features, *, large: bool) -> PortRules:
    """Everything that one Service port has in the tables. `large`: of a cluster with so many endpoints that they go without comments."""
    targets = targets_of(frontends)
    return PortRules(tuple(captures(targets, settings, features)), _own(targets, settings, large=large))


def _own(targets: ServiceChains, settings: Settings, *, large: bool) -> dict[str, Rules]:
    """The chains, those first that lead to others."""
    chains: dict[str, Rules] = {}
    if targets.frontends.reachable and targets.frontends.is_accessible:
        chains[targets.external_chain] = tuple(external(targets, settings))
    if targets.firewalled:
        chains[targets.firewall_chain] = tuple(firewall(targets, settings))
    for chain, endpoints in ((targets.cluster_chain, targets.cluster), (targets.local_chain, targets.local)):
        if chain:
            chains[chain] = _list(targets, settings, chain, endpoints, large=large)
    affinity_s = targets.frontends.affinity_s
    for endpoint in targets.endpoints:
        chains[endpoint.chain] = reaching(endpoint, targets.name, targets.protocol, affinity_s, large=large)
    return chains


def _list(targets: ServiceChains, settings: Settings, chain: str, endpoints: tuple[Endpoint, ...], *, large: bool) -> Rules:
    masquerade = _masquerade(targets, settings) if chain == targets.internal else ()
    return (*masquerade, *choosing(endpoints, targets.name, targets.frontends.affinity_s, large=large))


def _masquerade(targets: ServiceChains, settings: Settings) -> Rules:
    """A client outside of the cluster may reach the ClusterIP through any node; the answer has to come back through this one."""
    frontends = targets.frontends
    others = f"-j {MARK_MASQ}" if settings.masquerade_all else local_detector.masquerade_others(settings.local_traffic, frontends.family)
    return (f"{destination(targets, 'cluster IP', frontends.cluster_ip)} {others}",) if others and frontends.cluster_ip else ()
