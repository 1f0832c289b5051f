"""Where watched objects become values: each sink ingests one kind of object into the cluster's memory, and tells if that changed it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.endpointslices import EndpointSliceParser
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.ingest.services import service_of
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_client.watch.objects import Key

Changed = Callable[[], None]


class ServiceHandler:
    """Services that are no proxy's business are none at all here, so one that becomes headless is gone (rows 77–80)."""

    def __init__(self, cluster: ClusterState, changed: Changed) -> None:
        self._cluster, self._changed = cluster, changed

    def on_upsert(self, item: apitypes.Service) -> None:
        service = service_of(item)
        if service is None:
            self.on_delete(Key(item.metadata.namespace, item.metadata.name))
        elif self._cluster.put_service(service):
            self._changed()

    def on_delete(self, key: Key) -> None:
        if self._cluster.drop_service(ServiceName(key.namespace, key.name)):
            self._changed()

    def keys(self) -> Iterable[Key]:
        return [Key(name.namespace, name.name) for name in self._cluster.service_names()]

    def on_undecodable(self, key: Key, reason: str) -> None:
        self._cluster.set_aside(ServiceName(key.namespace, key.name), reason)
        self._changed()


class EndpointSliceHandler:
    """EndpointSlices; one that becomes headless or loses its Service is gone (rows 81, 83)."""

    def __init__(self, cluster: ClusterState, changed: Changed) -> None:
        self._cluster, self._changed = cluster, changed
        self._slices = EndpointSliceParser()

    def on_upsert(self, item: apitypes.EndpointSlice) -> None:
        piece = self._slices.slice_of(item)
        if piece is None:
            self.on_delete(Key(item.metadata.namespace, item.metadata.name))
        elif self._cluster.put_slice(piece):
            self._changed()

    def on_delete(self, key: Key) -> None:
        if self._cluster.drop_slice(key):
            self._changed()

    def keys(self) -> Iterable[Key]:
        return list(self._cluster.slice_keys())

    def on_undecodable(self, key: Key, reason: str) -> None:
        if self._cluster.set_slice_aside(key, reason):
            self._changed()
