"""The rules of one Service port in the chains of all Services: which traffic is its, and what is refused. Pure.

Behind the chain of each rule stands its text. The order is kube-proxy's; nothing else orders the rules of one Service port.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Features, Table
from proxyconfig_agent.dataplane.iptables.model.service_chains import ServiceChains
from proxyconfig_agent.dataplane.iptables.model.static_rules import LOCALHOST_COUNTER, serves_localhost
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Address, text_of

_SERVICES = Chain(Table.NAT, chain_names.SERVICES)
_NODE_PORTS = Chain(Table.NAT, chain_names.NODE_PORTS)
_REFUSED_SERVICES = Chain(Table.FILTER, chain_names.SERVICES)
_REFUSED_EXTERNAL = Chain(Table.FILTER, chain_names.EXTERNAL_SERVICES)
_FIREWALL = Chain(Table.FILTER, chain_names.PROXY_FIREWALL)
_HEALTH_CHECKS = Chain(Table.FILTER, chain_names.NODE_PORTS)

Shared = Iterator[tuple[Chain, str]]


def captures(targets: ServiceChains, settings: Settings, features: Features) -> Shared:
    """All rules of a Service port in shared chains."""
    yield from _cluster_ip(targets)
    yield from _external_ips(targets)
    yield from _load_balancer_ips(targets)
    yield from _node_port(targets, settings, features)
    if port := targets.frontends.health_check_node_port:
        # Served whether or not there are endpoints here: that is what its answer is about.
        yield _HEALTH_CHECKS, f'-m comment --comment "{targets.name} health check node port" -m tcp -p tcp --dport {port} -j ACCEPT'


def destination(targets: ServiceChains, comment: str, address: Address) -> str:
    """The match of an address of the Service port, behind a comment."""
    return f'-m comment --comment "{targets.name} {comment}" {targets.protocol} -d {text_of(address)} --dport {targets.frontends.port}'


def _cluster_ip(targets: ServiceChains) -> Shared:
    address = targets.frontends.cluster_ip
    if not address:
        return
    if targets.internal:
        yield _SERVICES, f"{destination(targets, 'cluster IP', address)} -j {targets.internal}"
    else:
        yield _REFUSED_SERVICES, _refusal(targets, address)


def _external_ips(targets: ServiceChains) -> Shared:
    for address in targets.frontends.external_ips:
        if targets.frontends.reachable:
            yield _SERVICES, f"{destination(targets, 'external IP', address)} -j {targets.external_chain}"
        if not targets.external:
            yield _REFUSED_EXTERNAL, _refusal(targets, address)


def _load_balancer_ips(targets: ServiceChains) -> Shared:
    leading_to = targets.firewall_chain if targets.firewalled else targets.external_chain
    for address in targets.frontends.load_balancer_ips:
        if targets.frontends.reachable:
            yield _SERVICES, f"{destination(targets, 'loadbalancer IP', address)} -j {leading_to}"
        if targets.firewalled:
            yield _FIREWALL, f"{destination(targets, f'traffic not accepted by {targets.firewall_chain}', address)} -j DROP"
    if not targets.external:
        for address in targets.frontends.load_balancer_ips:
            yield _REFUSED_EXTERNAL, _refusal(targets, address)


def _node_port(targets: ServiceChains, settings: Settings, features: Features) -> Shared:
    """Source ranges do not protect node ports, for better or worse."""
    port = targets.frontends.node_port
    if not port:
        return
    if targets.frontends.reachable:
        about = f"-m comment --comment {targets.name} {targets.protocol}"
        if features.counters and serves_localhost(settings, targets.frontends.family):
            counted = f"-m nfacct --nfacct-name {LOCALHOST_COUNTER}"
            yield _NODE_PORTS, f"{about} -d 127.0.0.0/8 --dport {port} {counted} -j {targets.external_chain}"
        yield _NODE_PORTS, f"{about} --dport {port} -j {targets.external_chain}"
    if not targets.external:
        reason, verdict = _reason(targets)
        comment = f'-m comment --comment "{targets.name} {reason}" -m addrtype --dst-type LOCAL'
        yield _REFUSED_EXTERNAL, f"{comment} {targets.protocol} --dport {port} -j {verdict}"


def _refusal(targets: ServiceChains, address: Address) -> str:
    reason, verdict = _reason(targets)
    return f"{destination(targets, reason, address)} -j {verdict}"


def _reason(targets: ServiceChains) -> tuple[str, str]:
    """Without any backend: reject. Without one on this node: drop, as another node may serve the client's next try."""
    return ("has no local endpoints", "DROP") if targets.frontends.reachable else ("has no endpoints", "REJECT")
