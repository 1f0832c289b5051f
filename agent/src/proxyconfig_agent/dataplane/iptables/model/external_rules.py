"""The chains of one Service port that its external addresses lead to: masquerading, short-circuits, source ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.iptables.model import local_detector
from proxyconfig_agent.dataplane.iptables.model.chain_names import MARK_MASQ
from proxyconfig_agent.dataplane.iptables.model.service_chains import ServiceChains
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import text_of


def external(targets: ServiceChains, settings: Settings) -> Iterator[str]:
    """The rules for all traffic to external addresses that source ranges admit.

    With policy Cluster the endpoint may be on another node, so the answer has to come back through this one. With policy Local the
    source is kept; pods and processes of this node reach all endpoints, as they would from outside through the load balancer."""
    name = targets.name
    if not targets.external_is_local:
        yield f'-m comment --comment "masquerade traffic for {name} external destinations" -j {MARK_MASQ}'
    else:
        for match in local_detector.from_pods(settings.local_traffic, targets.frontends.family):
            yield f'-m comment --comment "pod traffic for {name} external destinations" {match} -j {targets.cluster_chain}'
        node = f'LOCAL traffic for {name} external destinations" -m addrtype --src-type LOCAL -j'
        yield f'-m comment --comment "masquerade {node} {MARK_MASQ}'
        yield f'-m comment --comment "route {node} {targets.cluster_chain}'
    if targets.external:
        yield f"-j {targets.external}"


def firewall(targets: ServiceChains, settings: Settings) -> Iterator[str]:
    """The rules that let the source ranges pass. What they do not let pass is not translated, and so dropped in KUBE-PROXY-FIREWALL.

    A node that may pass may have the load balancer's address as its source, where that is bound to an interface of it. kube-proxy
    asks for one address of the node in each family, we for all in `node_addresses`."""
    frontends = targets.frontends
    about, verdict = f'-m comment --comment "{targets.name} loadbalancer IP"', f"-j {targets.external_chain}"
    for network in frontends.source_ranges:
        yield f"{about} -s {network} {verdict}"
    if any(address in network for network in frontends.source_ranges for address in settings.node_addresses):
        for address in frontends.load_balancer_ips:
            yield f"{about} -s {text_of(address)} {verdict}"
    yield f'-m comment --comment "other traffic to {targets.name} will be dropped by KUBE-PROXY-FIREWALL"'
