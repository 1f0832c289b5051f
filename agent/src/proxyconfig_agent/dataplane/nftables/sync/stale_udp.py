"""Which UDP destinations a table served that are no longer wanted: flows may still go on there, from before this agent."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.port import Destination
from proxyconfig_agent.dataplane.tables.model.address_elements import protocol_and_port
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.ingest.model import Address, Family, Protocol

_UDP = protocol_and_port(Protocol.UDP, 0)[:4]


def udp_destinations(stale: Elements, family: Family) -> Iterator[Destination]:
    """Those among elements that are about to be deleted. A Service port that only lost its endpoints is among them, too."""
    size = int(family.size)
    for key in stale.get(sets.SERVICES, {}):
        if key[size : size + 4] == _UDP:
            yield Destination(family, Address(key[:size]), int.from_bytes(key[size + 4 : size + 6]))
    for key in stale.get(sets.NODEPORTS, {}):
        if key[:4] == _UDP:
            yield Destination(family, None, int.from_bytes(key[4:6]))
