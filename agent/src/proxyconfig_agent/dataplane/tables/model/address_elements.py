"""What a Service port puts into the `address_sets`: keys of its addresses, source ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.elements import comment_tail, end_tail
from proxyconfig_agent.dataplane.tables.model.ranges import merged
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.ingest.model import Address, Network
from proxyconfig_agent.select.frontends import Frontends

PADDING = b"\0\0"


def frontend_keys(frontends: Frontends) -> Iterator[bytes]:
    """The keys of its addresses in `services`, the ClusterIP's first; no key twice."""
    behind = protocol_and_port(frontends.name.protocol, frontends.port)
    cluster_ip = (frontends.cluster_ip,) if frontends.cluster_ip else ()
    for address in dict.fromkeys((*cluster_ip, *frontends.external_ips, *frontends.load_balancer_ips)):
        yield address + behind


def protocol_and_port(protocol: int, port: int) -> bytes:
    return bytes((protocol, 0, 0, 0)) + port.to_bytes(2) + PADDING


def firewall(frontends: Frontends, node_addresses: tuple[Address, ...]) -> Elements:
    """Its source ranges; nothing if it has none."""
    if not frontends.source_ranges:
        return {}
    comment = comment_tail(str(frontends.name))
    protected, admitted = dict[bytes, bytes](), dict[bytes, bytes]()
    behind = protocol_and_port(frontends.name.protocol, frontends.port)
    for vip in frontends.load_balancer_ips:
        protected[vip + behind] = comment
        for first, last in merged(_admitted(frontends, vip, node_addresses)):
            admitted[vip + behind + first] = end_tail(vip + behind + last)
    return {address_sets.FIREWALL_IPS: protected, address_sets.SOURCE_RANGES: admitted}


def _admitted(frontends: Frontends, vip: Address, node_addresses: tuple[Address, ...]) -> list[Network]:
    """A node that may reach the VIP may have the VIP itself as its source, where the address is bound to the node."""
    ranges = list(frontends.source_ranges)
    if any(address in cidr for cidr in ranges for address in node_addresses):
        ranges.append(Network(vip, 8 * len(vip)))
    return ranges
