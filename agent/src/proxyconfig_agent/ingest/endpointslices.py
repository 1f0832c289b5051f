"""An EndpointSlice of the API as a packed value. Pure; what cannot be used of it becomes sentences in `rejected`."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.addresses import parse_address
from proxyconfig_agent.ingest.messages import few
from proxyconfig_agent.ingest.model import EndpointSlice, Family, NodeName, ServiceName, SlicePort, Traits
from proxyconfig_agent.ingest.services import number_of, protocol_of

SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"

K = TypeVar("K")
V = TypeVar("V")

_FAMILIES = {"IPv4": Family.IPV4, "IPv6": Family.IPV6}
_READY = apitypes.Conditions()
_NO_HINTS = apitypes.Hints()
_REMEMBERED = 65536


class EndpointSliceParser:
    """Makes values of slices. Traits and names that are the same are one object: there are far fewer of them than endpoints."""

    def __init__(self) -> None:
        self._traits: dict[tuple[object, ...], Traits] = {}
        self._ports: dict[tuple[SlicePort, ...], tuple[SlicePort, ...]] = {}

    def slice_of(self, source: apitypes.EndpointSlice) -> EndpointSlice | None:
        """The value of a slice, or None if it has no part in a proxy's work (FQDN, headless, no Service)."""
        metadata, family = source.metadata, _FAMILIES.get(source.address_type)
        labels = metadata.labels or {}
        service = labels.get(SERVICE_NAME)
        if family is None or not service or HEADLESS in labels:
            return None
        rejected: list[str] = []
        ports = self._ports_of(source, rejected)
        addresses, traits = self._endpoints_of(source, family, rejected)
        return EndpointSlice(
            name=metadata.name,
            service=ServiceName(metadata.namespace, service),
            family=family,
            ports=ports,
            addresses=addresses,
            traits=traits,
            rejected=few(rejected),
            triggered_at=_triggered_at(metadata.annotations),
        )

    def _ports_of(self, source: apitypes.EndpointSlice, rejected: list[str]) -> tuple[SlicePort, ...]:
        """The ports with name and number; nil ones are skipped (row 83)."""
        ports = []
        for port in source.ports or ():
            if port.name is None or not port.port:
                continue
            try:
                ports.append(SlicePort(port.name, protocol_of(port.protocol), number_of(port.port)))
            except ValueError as error:
                rejected.append(f"EndpointSlice {source.metadata.name}: {error}; that port is not served: correct it")
        found = tuple(ports)
        return self._remembered(self._ports, found, found)

    def _endpoints_of(self, source: apitypes.EndpointSlice, family: Family, rejected: list[str]) -> tuple[bytes, tuple[Traits, ...]]:
        """Only the first address of an endpoint is used: the others are the same endpoint's."""
        addresses, traits, size = bytearray(), [], int(family.size)
        for endpoint in source.endpoints or ():
            if not endpoint.addresses:
                continue
            try:
                address = parse_address(endpoint.addresses[0], size)
            except ValueError as error:
                rejected.append(f"EndpointSlice {source.metadata.name}: {error}; that endpoint is not used: correct it")
                continue
            addresses += address
            traits.append(self._traits_of(endpoint))
        return bytes(addresses), tuple(traits)

    def _traits_of(self, endpoint: apitypes.Endpoint) -> Traits:
        conditions, hints = endpoint.conditions or _READY, endpoint.hints or _NO_HINTS
        zones = tuple(zone.name for zone in hints.for_zones) if hints.for_zones else ()
        nodes = tuple(node.name for node in hints.for_nodes) if hints.for_nodes else ()
        key = (conditions.ready, conditions.serving, conditions.terminating, endpoint.node_name, zones, nodes)
        known = self._traits.get(key)
        if known is None:
            made = Traits(
                ready=conditions.ready is not False,
                serving=conditions.serving is not False,
                terminating=conditions.terminating is True,
                node=NodeName(endpoint.node_name) if endpoint.node_name else None,
                zone_hints=frozenset(zones),
                node_hints=frozenset(NodeName(node) for node in nodes),
            )
            known = self._remembered(self._traits, key, made)
        return known

    @staticmethod
    def _remembered(memory: dict[K, V], key: K, value: V) -> V:
        if len(memory) >= _REMEMBERED:
            memory.clear()
        return memory.setdefault(key, value)


def _triggered_at(annotations: dict[str, str] | None) -> float:
    text = (annotations or {}).get(TRIGGER_TIME)
    if not text:
        return 0.0
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
