"""What an agent watches at the API server, with the selectors that keep other proxies' and headless objects away from it."""

from __future__ import annotations

import msgspec

from proxyconfig_agent.ingest import wire
from proxyconfig_agent.ingest.services import PROXY_NAME
from proxyconfig_agent.ingest.slices import HEADLESS
from proxyconfig_agent.watch.sinks import ServiceSink, SliceSink
from proxyconfig_client.connection import Connection, path_of
from proxyconfig_client.objects import Cache
from proxyconfig_client.reflector import Reflector


def services(connection: Connection, sink: ServiceSink) -> Reflector[wire.Service]:
    return Reflector(
        connection,
        path_of("v1", "services"),
        msgspec.json.Decoder(wire.Service, strict=False).decode,
        sink,
        streams_lists=False,
        label_selector=f"!{PROXY_NAME}",
        field_selector="spec.clusterIP!=None",
        set_aside=sink.set_aside,
    )


def slices(connection: Connection, sink: SliceSink) -> Reflector[wire.EndpointSlice]:
    return Reflector(
        connection,
        path_of("discovery.k8s.io/v1", "endpointslices"),
        msgspec.json.Decoder(wire.EndpointSlice, strict=False).decode,
        sink,
        streams_lists=False,
        label_selector=f"!{HEADLESS}",
    )


def own_node(connection: Connection, name: str, cache: Cache[wire.Node]) -> Reflector[wire.Node]:
    decode = msgspec.json.Decoder(wire.Node, strict=False).decode
    return Reflector(connection, path_of("v1", "nodes"), decode, cache, field_selector=f"metadata.name={name}")


def service_cidrs(connection: Connection, cache: Cache[wire.ServiceCIDR]) -> Reflector[wire.ServiceCIDR]:
    """Kubernetes before 1.33 does not have them; then no unallocated address is dropped."""
    decode = msgspec.json.Decoder(wire.ServiceCIDR, strict=False).decode
    return Reflector(connection, path_of("networking.k8s.io/v1", "servicecidrs"), decode, cache, optional=True)
