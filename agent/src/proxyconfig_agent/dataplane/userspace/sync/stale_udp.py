"""Which UDP destinations a table served that are no longer wanted: flows may still go on there, from before this agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxyconfig_agent.dataplane.port import Destination
from proxyconfig_agent.dataplane.tables.model.address_elements import protocol_and_port
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.dataplane.userspace.model import maps
from proxyconfig_agent.ingest.model import Address, Family, Protocol

_UDP = protocol_and_port(Protocol.UDP, 0)[:4]


def udp_destinations(held: Elements, wanted: Elements, family: Family) -> Iterator[Destination]:
    """Those that are in the table, and are not to be."""
    size = int(family.size)
    for key in _gone(held, wanted, maps.SERVICES):
        if key[size : size + 4] == _UDP:
            yield Destination(family, Address(key[:size]), int.from_bytes(key[size + 4 : size + 6]))
    for key in _gone(held, wanted, maps.NODEPORTS):
        if key[:4] == _UDP:
            yield Destination(family, None, int.from_bytes(key[4:6]))


def _gone(held: Elements, wanted: Elements, name: str) -> Iterator[bytes]:
    empty: Mapping[bytes, bytes] = {}
    return (key for key in held.get(name, empty) if key not in wanted.get(name, empty))
