"""Which UDP destinations a table served that nobody wants any more: flows may still go on there, from before this agent."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane import Destination
from proxyconfig_agent.ingest.values import Address, Family, Protocol
from proxyconfig_agent.nftables import containers as sets
from proxyconfig_agent.nftables.lower import protocol_and_port
from proxyconfig_agent.nftables.ruleset import Elements

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
