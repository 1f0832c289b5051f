"""Which UDP destinations a table served that are no longer wanted: flows may still go on there, from before this agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxyconfig_agent.dataplane.ipvs.model import maps
from proxyconfig_agent.dataplane.port import Destination
from proxyconfig_agent.dataplane.tables.model.address_elements import protocol_and_port
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.ingest.model import Address, Family, Protocol

_UDP = protocol_and_port(Protocol.UDP, 0)[:4]
_ADDRESSES = (maps.CLUSTER_PORTS, maps.SERVICES, maps.LOCAL_SERVICES, maps.SHORT_CIRCUIT)
_NODE_PORTS = (maps.NODEPORTS, maps.LOCAL_NODEPORTS, maps.SHORT_CIRCUIT_NODEPORTS)


def udp_destinations(held: Mapping[str, Mapping[bytes, bytes]], wanted: Elements, family: Family) -> Iterator[Destination]:
    """Those of `held` that are not in `wanted`, each once."""
    size = int(family.size)
    for key in _stale(held, wanted, _ADDRESSES):
        if key[size : size + 4] == _UDP:
            yield Destination(family, Address(key[:size]), int.from_bytes(key[size + 4 : size + 6]))
    for key in _stale(held, wanted, _NODE_PORTS):
        if key[:4] == _UDP:
            yield Destination(family, None, int.from_bytes(key[4:6]))


def _stale(held: Mapping[str, Mapping[bytes, bytes]], wanted: Elements, names: tuple[str, ...]) -> set[bytes]:
    served = {key for name in names for key in held.get(name, {})}
    return served - {key for name in names for key in wanted.get(name, {})}
