"""Which addresses a change asks, and what is said of those that cannot be asked."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from proxyconfig_agent.checks.probes.model import Absent, Target
from proxyconfig_agent.checks.probes.targets import API_SERVER, DNS, LIMIT, Targets, targets_of
from proxyconfig_agent.ingest.addresses import parse_address
from proxyconfig_agent.ingest.model import Node, NodeName, Protocol, Service, ServiceName, ServicePort
from proxyconfig_api.spec.rollout import ProbeProtocol, Probes, ProbeType, ServiceProbe

NODE = Node(NodeName("node-1"), addresses=(parse_address("192.0.2.1"), parse_address("192.0.2.9"), parse_address("2001:db8::1")))
WEB = ServiceName("shop", "web")
ADDRESSES = tuple(map(parse_address, ("10.96.0.1", "fd00::1")))


def service(name: ServiceName, *ports: ServicePort, is_dns: bool = False) -> Service:
    return Service(name, "", ports, ADDRESSES, is_dns=is_dns)


def words(targets: Targets) -> list[str]:
    return [f"{each.name}: {each}" if isinstance(each, Target) else f"{each.name}: {each.why}" for each in targets]


def asked(probes: Probes, *services: Service) -> list[str]:
    return words(targets_of(probes, {each.name: each for each in services}, NODE))


DNS_PORTS = (ServicePort("dns", Protocol.UDP, 53), ServicePort("dns-tcp", Protocol.TCP, 53))


def test_the_api_server_is_asked_at_its_cluster_ips() -> None:
    found = asked(Probes(dns=False), service(API_SERVER, ServicePort("https", Protocol.TCP, 443)))
    assert found == ["apiServer: TCP 10.96.0.1:443", "apiServer: TCP [fd00::1]:443"]


def test_dns_is_asked_over_both_protocols() -> None:
    assert asked(Probes(api_server=False), service(DNS, *DNS_PORTS)) == [
        "dns/UDP: DNS over UDP 10.96.0.1:53",
        "dns/UDP: DNS over UDP [fd00::1]:53",
        "dns/TCP: DNS over TCP 10.96.0.1:53",
        "dns/TCP: DNS over TCP [fd00::1]:53",
    ]


def test_dns_under_another_name_is_found_by_its_label_in_the_usual_namespace_only() -> None:
    ours, other = ServiceName("kube-system", "coredns"), ServiceName("shop", "a-dns")
    found = asked(Probes(api_server=False), service(other, *DNS_PORTS, is_dns=True), replace(service(ours, *DNS_PORTS), is_dns=True))
    assert len(found) == 4
    assert "neither a Service" in asked(Probes(api_server=False), service(other, *DNS_PORTS, is_dns=True))[0]


def test_what_is_absent_is_named_with_the_reason() -> None:
    probes = Probes(services=(ServiceProbe(namespace="shop", name="web", port=80),))
    assert asked(probes, service(DNS, DNS_PORTS[0]))[0] == "apiServer: the Service default/kubernetes does not exist"
    assert asked(probes, service(DNS, DNS_PORTS[0]))[3:] == [
        "dns/TCP: the Service kube-system/kube-dns has no port 53 of TCP",
        "shop/web:80/TCP: the Service shop/web does not exist, or no proxy serves it",
    ]


def of_web(port: int = 80, **more: Any) -> Probes:
    return Probes(api_server=False, dns=False, services=(ServiceProbe(namespace="shop", name="web", port=port, **more),))


def test_a_service_is_asked_at_its_port_of_the_protocol() -> None:
    web = service(WEB, ServicePort("http", Protocol.TCP, 80), ServicePort("more", Protocol.UDP, 81))
    http, udp = of_web(protocol=ProbeProtocol.HTTP, path="/healthz"), of_web(81, protocol=ProbeProtocol.UDP)
    assert asked(http, web)[0] == "shop/web:80/HTTP: HTTP 10.96.0.1:80/healthz"
    assert asked(udp, web)[1] == "shop/web:81/UDP: UDP [fd00::1]:81"
    assert asked(of_web(81), web) == ["shop/web:81/TCP: the Service shop/web has no port 81 of TCP"]


def test_a_node_port_is_asked_at_the_nodes_first_address_of_each_family() -> None:
    by_node_port = of_web(type=ProbeType.NODE_PORT)
    assert asked(by_node_port, service(WEB, ServicePort("http", Protocol.TCP, 80, 30080))) == [
        "shop/web:80/TCP@NodePort: TCP 192.0.2.1:30080",
        "shop/web:80/TCP@NodePort: TCP [2001:db8::1]:30080",
    ]
    assert "has no node port" in asked(by_node_port, service(WEB, ServicePort("http", Protocol.TCP, 80)))[0]


def test_no_more_addresses_are_asked_than_the_limit() -> None:
    names = [ServiceName("n", f"s{number}") for number in range(LIMIT)]
    services = {name: service(name, ServicePort("", Protocol.TCP, 80)) for name in names}
    probes = Probes(api_server=False, dns=False, services=tuple(ServiceProbe(namespace="n", name=name.name, port=80) for name in names))
    found = targets_of(probes, services, NODE)
    assert [isinstance(each, Absent) for each in found] == [False] * LIMIT + [True] * LIMIT
