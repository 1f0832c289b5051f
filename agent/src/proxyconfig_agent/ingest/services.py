"""A Service of the API as the value that the pipeline knows. Pure; nothing that a Service can contain makes it fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.addresses import parse_address, parse_network
from proxyconfig_agent.ingest.messages import few, number_text, quoted
from proxyconfig_agent.ingest.model import Address, Family, Network, Policy, Protocol, Service, ServiceName, ServicePort, family_of, text_of
from proxyconfig_api.objects.names import SCHEDULER_ANNOTATION

PROXY_NAME = "service.kubernetes.io/service-proxy-name"
"""A label: the Service is another proxy's."""

DNS_LABEL, DNS_APP = "k8s-app", "kube-dns"

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "mh", "sed", "nq", "fo", "ovf", "twos")
"""All that Linux has (net/netfilter/ipvs); which of them a node's kernel has is its own matter."""

DEFAULT_AFFINITY_S, LONGEST_AFFINITY_S = 10800, 86400

T = TypeVar("T")


def service_of(source: apitypes.Service) -> Service | None:
    """The value of a Service, or None if a proxy has nothing to do with it (headless, ExternalName, another proxy's)."""
    spec = source.spec or apitypes.ServiceSpec()
    if PROXY_NAME in (source.metadata.labels or {}) or spec.type == "ExternalName" or spec.cluster_ip in (None, "", "None"):
        return None
    rejected: list[str] = []
    cluster_ips = _one_per_family(
        _parsed("spec.clusterIPs", spec.cluster_ips or [spec.cluster_ip or ""], parse_address, rejected), rejected
    )
    families = {family_of(address) for address in cluster_ips}
    local = spec.external_traffic_policy == "Local"
    load_balancer_ips = _load_balancer_ips(source, families, rejected)
    ports = _ports(spec.ports or [], rejected)
    return Service(
        name=ServiceName(source.metadata.namespace, source.metadata.name),
        uid=source.metadata.uid,
        ports=ports,
        cluster_ips=cluster_ips,
        external_ips=_of("spec.externalIPs", _parsed("spec.externalIPs", spec.external_ips, parse_address, rejected), families, rejected),
        load_balancer_ips=load_balancer_ips,
        source_ranges=_source_ranges(spec, rejected),
        internal_policy=Policy.LOCAL if spec.internal_traffic_policy == "Local" else Policy.CLUSTER,
        external_policy=Policy.LOCAL if local else Policy.CLUSTER,
        externally_accessible=bool(spec.type in ("NodePort", "LoadBalancer") or spec.external_ips or load_balancer_ips),
        affinity_s=_affinity_s(spec, rejected),
        health_check_node_port=_health_check_node_port(spec, ports, rejected) if spec.type == "LoadBalancer" and local else 0,
        scheduler=_scheduler(source.metadata.annotations or {}, rejected),
        rejected=few(rejected),
        is_dns=(source.metadata.labels or {}).get(DNS_LABEL) == DNS_APP,
        created=source.metadata.creation_timestamp or "",
    )


def _parsed(field: str, texts: Iterable[str] | None, parse: Callable[[str], T], rejected: list[str]) -> list[T]:
    """What of `texts` can be parsed, in order and without duplicates; the others become sentences in `rejected`."""
    parsed: dict[T, None] = {}
    for text in texts or ():
        try:
            parsed[parse(text)] = None
        except ValueError as error:
            rejected.append(f"{field}: {error}; it is not served: correct or remove it")
    return list(parsed)


def _one_per_family(addresses: Iterable[Address], rejected: list[str]) -> tuple[Address, ...]:
    chosen: dict[Family, Address] = {}
    second = [address for address in addresses if chosen.setdefault(family_of(address), address) != address]
    rejected += [
        f"spec.clusterIPs: {text_of(address)} is a second address of its family; it is not served: remove it" for address in second
    ]
    return tuple(chosen.values())


def _of(field: str, addresses: Iterable[Address], families: set[Family], rejected: list[str]) -> tuple[Address, ...]:
    """The addresses of the Service's own families; a Service without cluster IP of a family does not exist in that family."""
    kept = []
    for address in addresses:
        if (family := family_of(address)) in families:
            kept.append(address)
        else:
            version = f"IPv{int(family)}"
            rejected.append(
                f"{field}: {text_of(address)} is {version}, but the Service has no {version} cluster IP; it is not served: "
                f"add {version} to spec.ipFamilies or remove the address"
            )
    return tuple(kept)


def _load_balancer_ips(source: apitypes.Service, families: set[Family], rejected: list[str]) -> tuple[Address, ...]:
    """Ingress addresses that reach the node as they are: with ipMode VIP or none, not host names (KEP-1860)."""
    status = source.status.load_balancer if source.status else None
    texts = [entry.ip for entry in (status.ingress if status else None) or () if entry.ip and entry.ip_mode in (None, "VIP")]
    field = "status.loadBalancer.ingress"
    return _of(field, _parsed(field, texts, parse_address, rejected), families, rejected)


def _source_ranges(spec: apitypes.ServiceSpec, rejected: list[str]) -> tuple[Network, ...]:
    """The ranges; a /0 among them means everybody of its family (row 19), and says nothing of the other one."""
    ranges = _parsed("spec.loadBalancerSourceRanges", spec.load_balancer_source_ranges, parse_network, rejected)
    open_to_all = {family_of(network.base) for network in ranges if network.prefix == 0}
    return tuple(network for network in ranges if family_of(network.base) not in open_to_all)


def _affinity_s(spec: apitypes.ServiceSpec, rejected: list[str]) -> int:
    if spec.session_affinity != "ClientIP":
        return 0
    config = spec.session_affinity_config.client_ip if spec.session_affinity_config else None
    timeout_s = (config.timeout_seconds if config else None) or DEFAULT_AFFINITY_S
    if 1 <= timeout_s <= LONGEST_AFFINITY_S:
        return timeout_s
    field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
    rejected.append(f"{field}: {number_text(timeout_s)} is outside of 1–{LONGEST_AFFINITY_S}; {DEFAULT_AFFINITY_S} is used: correct it")
    return DEFAULT_AFFINITY_S


def _scheduler(annotations: Mapping[str, str], rejected: list[str]) -> str:
    name = annotations.get(SCHEDULER_ANNOTATION, "")
    if not name or name in SCHEDULERS:
        return name
    known = ", ".join(SCHEDULERS)
    rejected.append(
        f"metadata.annotations[{SCHEDULER_ANNOTATION}]: {quoted(name)} is none of {known}; the ProxyConfig's is used: correct it"
    )
    return ""


def _health_check_node_port(spec: apitypes.ServiceSpec, ports: Iterable[ServicePort], rejected: list[str]) -> int:
    try:
        number = number_of(spec.health_check_node_port) if spec.health_check_node_port else 0
    except ValueError as error:
        wrong = str(error)
    else:
        if not any(number and port.node_port == number and port.protocol is Protocol.TCP for port in ports):
            return number
        wrong = f"{number} is also the node port of one of its ports"
    rejected.append(f"spec.healthCheckNodePort: {wrong}; health checks are not answered: correct it")
    return 0


def _ports(sources: Iterable[apitypes.ServicePort], rejected: list[str]) -> tuple[ServicePort, ...]:
    ports: dict[tuple[str, Protocol], ServicePort] = {}
    numbers: set[tuple[str, Protocol, int]] = set()
    for index, source in enumerate(sources):
        try:
            port = _port(source)
        except ValueError as error:
            rejected.append(f"spec.ports[{index}]: {error}; it is not served: correct or remove it")
            continue
        own = {("port", port.protocol, port.port), *([("nodePort", port.protocol, port.node_port)] if port.node_port else [])}
        if taken := numbers & own:
            field, protocol, number = min(taken)
            sentence = f"spec.ports[{index}].{field}: another port has {number}/{protocol.name}; it is not served: choose another number"
            rejected.append(sentence)
        elif ports.setdefault((port.name, port.protocol), port) is not port:
            rejected.append(f"spec.ports[{index}]: another port has the name {quoted(port.name)} and protocol; it is not served: rename it")
        else:
            numbers |= own
    return tuple(ports.values())


def _port(source: apitypes.ServicePort) -> ServicePort:
    node_port = number_of(source.node_port) if source.node_port else 0
    return ServicePort(source.name or "", protocol_of(source.protocol), number_of(source.port), node_port)


def number_of(port: int) -> int:
    """A port number. Raises ValueError with a sentence."""
    if not 1 <= port <= 65535:
        raise ValueError(f"port {number_text(port)} is outside of 1–65535")
    return port


def protocol_of(text: str | None) -> Protocol:
    """TCP where it is absent. Raises ValueError with a sentence."""
    try:
        return Protocol[text or "TCP"]
    except KeyError:
        raise ValueError(f"protocol {quoted(text or '')} is none of TCP, UDP, SCTP") from None
