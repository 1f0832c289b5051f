"""What an agent watches at the API server, with the selectors that keep other proxies' and headless objects away from it."""

from __future__ import annotations

import msgspec

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.endpointslices import HEADLESS
from proxyconfig_agent.ingest.services import PROXY_NAME
from proxyconfig_agent.watch.handlers import EndpointSliceHandler, ServiceHandler
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.watch.objects import Cache
from proxyconfig_client.watch.reflector import Reflector


def services(connection: ApiClient, sink: ServiceHandler) -> Reflector[apitypes.Service]:
    return Reflector(
        connection,
        path_of("v1", "services"),
        msgspec.json.Decoder(apitypes.Service, strict=False).decode,
        sink,
        streams_lists=False,
        label_selector=f"!{PROXY_NAME}",
        optional_field_selector="spec.clusterIP!=None",
        on_undecodable=sink.on_undecodable,
    )


def slices(connection: ApiClient, sink: EndpointSliceHandler) -> Reflector[apitypes.EndpointSlice]:
    return Reflector(
        connection,
        path_of("discovery.k8s.io/v1", "endpointslices"),
        msgspec.json.Decoder(apitypes.EndpointSlice, strict=False).decode,
        sink,
        streams_lists=False,
        label_selector=f"!{HEADLESS}",
    )


def own_node(connection: ApiClient, name: str, cache: Cache[apitypes.Node]) -> Reflector[apitypes.Node]:
    decode = msgspec.json.Decoder(apitypes.Node, strict=False).decode
    return Reflector(connection, path_of("v1", "nodes"), decode, cache, field_selector=f"metadata.name={name}")


def service_cidrs(connection: ApiClient, cache: Cache[apitypes.ServiceCIDR]) -> Reflector[apitypes.ServiceCIDR]:
    """Kubernetes before 1.33 does not have them; then no unallocated address is dropped."""
    decode = msgspec.json.Decoder(apitypes.ServiceCIDR, strict=False).decode
    return Reflector(connection, path_of("networking.k8s.io/v1", "servicecidrs"), decode, cache, optional=True)
