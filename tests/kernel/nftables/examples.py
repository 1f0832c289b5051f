"""Service ports of every kind, and many of one kind."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.ingest.model import Address, Family, Policy, Protocol, ServiceName
from proxyconfig_agent.select.frontends import Backends, Frontends, PortName

SETTINGS = Settings(
    local_traffic=LocalTraffic(cidrs=(network("10.244.0.0/24"), network("fd00:244::/64"))),
    node_port_addresses=(ip("192.168.50.1"), ip("fd00:50::1")),
    node_addresses=(ip("192.168.50.1"), ip("fd00:50::1")),
    service_cidrs=(network("10.96.0.0/16"), network("fd00:96::/112")),
)


def every_kind() -> list[Frontends]:
    """One of each, in both families."""
    return [
        *_kinds("10.96.0.", "10.244.{}.{}", "192.0.2.", "10.0.0.0/8"),
        *_kinds("fd00:96::", "[fd00:244:{}::{}]", "fd00:60::", "fd00::/16"),
    ]


def each_kind_once() -> list[Frontends]:
    """One of each, every other one in IPv6: where each costs seconds, on a kernel that runs as a process."""
    ports = every_kind()
    half = len(ports) // 2
    return [*ports[:half:2], *ports[half + 1 :: 2]]


def _kinds(cluster_ip: str, endpoint: str, public: str, admitted: str) -> list[Frontends]:
    near, far = f"{endpoint.format(0, 1)}:8080", f"{endpoint.format(1, 1)}:8080"
    near_address = (ip(near.rpartition(":")[0].strip("[]")),)
    both = (near, far)
    return [
        frontends("plain", f"{cluster_ip}1", both, on_node=near_address),
        frontends("udp", f"{cluster_ip}1", both, protocol=Protocol.UDP, port_name="dns", port=53),
        frontends("sctp", f"{cluster_ip}2", both, protocol=Protocol.SCTP),
        frontends("empty", f"{cluster_ip}3", node_port=30003, load_balancer_ips=(ip(f"{public}3"),)),
        frontends("nodeport", f"{cluster_ip}4", both, node_port=30004, external_ips=(ip(f"{public}4"),)),
        frontends("local", f"{cluster_ip}5", both, local=(near,), external_policy=Policy.LOCAL, node_port=30005),
        frontends("drops", f"{cluster_ip}6", (far,), external_policy=Policy.LOCAL, node_port=30006, load_balancer_ips=(ip(f"{public}6"),)),
        frontends("inside", f"{cluster_ip}7", reachable=True, internal_policy=Policy.LOCAL),
        frontends("sticky", f"{cluster_ip}8", both, affinity_s=10800, node_port=30008),
        frontends("ranges", f"{cluster_ip}9", both, load_balancer_ips=(ip(f"{public}9"),), source_ranges=(network(admitted),)),
    ]


def many(services: int, endpoints: int) -> Iterator[Frontends]:
    """IPv4 Services of as many endpoints each."""
    for number in range(services):
        packed = b"".join((0x0A80_0000 + number * endpoints + index).to_bytes(4) + (8080).to_bytes(2) for index in range(endpoints))
        yield Frontends(
            name=PortName(ServiceName("bench", f"service-{number}"), "http", Protocol.TCP),
            family=Family.IPV4,
            port=80,
            cluster_ip=Address((0x0A60_0001 + number).to_bytes(4)),
            reachable=True,
            cluster=Backends(packed),
        )


def with_other_endpoint(port: Frontends, number: int) -> Frontends:
    """The same with its last endpoint exchanged."""
    last = (0x0AFF_0000 + number).to_bytes(4) + (8080).to_bytes(2)
    return replace(port, cluster=Backends(port.cluster[:-6] + last))
