"""Checks of Services: which of them use something that will be another way than with kube-proxy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from proxyconfig_api.objects.names import SCHEDULER_ANNOTATION
from proxyconfig_api.spec.sections import Mode
from proxyconfig_cli.preflight.facts import Facts, Service
from proxyconfig_cli.preflight.findings import Finding, Severity, found


def localhost_node_ports(facts: Facts) -> list[Finding]:
    if not facts.before.serves_localhost or _serves_localhost(facts):
        return []
    message = (
        "node ports are no longer served on 127.0.0.1: set spec.nftables.localhostNodePorts in nftables mode, "
        "or let clients such as container runtimes use an address of the node"
    )
    return found(Severity.CHANGE, "LocalhostNodePorts", message, [each.key for each in facts.services if _node_ports(each)])


def node_port_addresses(facts: Facts) -> list[Finding]:
    before, after = facts.before.spec.node_addresses, facts.after.node_addresses
    if before == after:
        return []
    message = f"node ports are served on {', '.join(after.items())} instead of {', '.join(before.items())} (spec.nodePorts.addresses)"
    return found(Severity.CHANGE, "NodePortAddresses", message, [each.key for each in facts.services if _node_ports(each)])


def sctp(facts: Facts) -> list[Finding]:
    if facts.after.mode is not Mode.USERSPACE:
        return []
    services = [each.key for each in facts.services if any(port.protocol == "SCTP" for port in each.spec.ports)]
    return found(Severity.PROBLEM, "SCTP", "mode userspace does not serve SCTP: choose another mode", services)


def client_addresses(facts: Facts) -> list[Finding]:
    """A process stands between client and endpoint in userspace mode."""
    if facts.after.mode is not Mode.USERSPACE or facts.before.mode is Mode.USERSPACE:
        return []
    message = "endpoints see the node as their client in mode userspace, though externalTrafficPolicy is Local: choose another mode"
    services = [each.key for each in facts.services if each.spec.external_traffic_policy == "Local"]
    return found(Severity.CHANGE, "ClientAddresses", message, services)


def external_ips(facts: Facts) -> list[Finding]:
    if facts.before.serves_external_ips:
        return []
    message = (
        "externalIPs, which kube-proxy ignores by its feature gate, are served: remove them, "
        "and refuse new ones by a ValidatingAdmissionPolicy or DenyServiceExternalIPs"
    )
    return found(Severity.PROBLEM, "ExternalIPs", message, [each.key for each in facts.services if each.spec.external_ips])


def shared_addresses(facts: Facts) -> list[Finding]:
    """kube-proxy lets chance decide, on each node anew; the agents give it to the older Service."""
    claims: dict[tuple[str, str, int], list[Service]] = defaultdict(list)
    for service in facts.services:
        for port in service.spec.ports:
            for address in service.spec.external_ips:
                claims[address, port.protocol, port.port].append(service)
    return [
        Finding(
            Severity.CHANGE, "SharedAddress", f"{address}:{port}/{protocol} is claimed twice: the older Service has it", _keys(services)
        )
        for (address, protocol, port), services in sorted(claims.items())
        if len(services) > 1
    ]


def local_policy(facts: Facts) -> list[Finding]:
    if facts.before.mode is not Mode.IPVS:
        return []
    message = (
        "kube-proxy's ipvs mode sends clients outside to endpoints elsewhere where a node has none, though externalTrafficPolicy is Local; "
        "agents drop what they send, as the policy says: let the load balancer use health check node ports"
    )
    services = [each.key for each in facts.services if each.spec.external_traffic_policy == "Local"]
    return found(Severity.CHANGE, "ExternalTrafficPolicy", message, services)


def schedulers(facts: Facts) -> list[Finding]:
    """Endpoints are chosen at random outside of ipvs mode."""
    before = facts.before.spec.ipvs
    if before is None or facts.after.mode is Mode.IPVS or before.scheduler in ("", "rr"):
        return []
    message = f"endpoints are chosen at random instead of by the scheduler {before.scheduler}: keep mode ipvs if that matters"
    return [Finding(Severity.CHANGE, "Scheduler", message)]


def scheduler_annotations(facts: Facts) -> list[Finding]:
    if facts.after.mode in (Mode.IPVS, Mode.AUTO):
        return []
    message = f"the annotation {SCHEDULER_ANNOTATION} has no effect in mode {facts.after.mode}: remove it, or choose mode ipvs"
    services = [each.key for each in facts.services if SCHEDULER_ANNOTATION in each.metadata.annotations]
    return found(Severity.NOTE, "SchedulerAnnotation", message, services)


def session_affinity(facts: Facts) -> list[Finding]:
    if facts.before.mode is facts.after.mode is Mode.IPTABLES:
        return []
    message = "clients may get another endpoint once, as kube-proxy's table of session affinity is not read"
    return found(
        Severity.CHANGE, "SessionAffinity", message, [each.key for each in facts.services if each.spec.session_affinity == "ClientIP"]
    )


def source_ranges(facts: Facts) -> list[Finding]:
    if facts.before.mode is facts.after.mode:
        return []
    message = f"source ranges are enforced at another place in mode {facts.after.mode}: try a client inside and one outside of them"
    return found(Severity.NOTE, "SourceRanges", message, [each.key for each in facts.services if each.spec.load_balancer_source_ranges])


def invalid_packets(facts: Facts) -> list[Finding]:
    """iptables mode drops what conntrack calls INVALID, or a reset would end a long download."""
    if facts.before.mode is not Mode.IPTABLES or facts.after.mode in (Mode.IPTABLES, Mode.USERSPACE):
        return []
    if facts.after.conntrack.tcp_be_liberal:
        return []
    message = "packets that conntrack calls INVALID are no longer dropped, and may reset long downloads: set spec.conntrack.tcpBeLiberal"
    return [Finding(Severity.CHANGE, "InvalidPackets", message)]


CHECKS: tuple[Callable[[Facts], list[Finding]], ...] = (
    localhost_node_ports,
    node_port_addresses,
    sctp,
    client_addresses,
    external_ips,
    shared_addresses,
    local_policy,
    schedulers,
    scheduler_annotations,
    session_affinity,
    source_ranges,
    invalid_packets,
)


def _node_ports(service: Service) -> bool:
    return any(port.node_port for port in service.spec.ports)


def _serves_localhost(facts: Facts) -> bool:
    after = facts.after
    match after.mode:
        case Mode.IPTABLES:
            return after.iptables is None or after.iptables.localhost_node_ports
        case Mode.NFTABLES | Mode.AUTO:
            return after.nftables is not None and after.nftables.localhost_node_ports
        case _:
            return after.mode is Mode.USERSPACE


def _keys(services: list[Service]) -> tuple[str, ...]:
    return tuple(sorted({each.key for each in services}))
