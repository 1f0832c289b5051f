"""All that an agent watches at the API server, begun before the rest of the agent is there: lists take their time to come."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.watch import resources
from proxyconfig_agent.watch.handlers import EndpointSliceHandler, ServiceHandler
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.watch.objects import Cache, Key
from proxyconfig_client.watch.reflector import Reflector


class ClusterListener(Protocol):
    """The receiver of changes of the cluster."""

    def service_changed(self, times: int = 1) -> None: ...

    def endpoints_changed(self, times: int = 1) -> None: ...

    def node_changed(self, key: Key, item: apitypes.Node | None) -> None: ...

    def cidrs_changed(self) -> None: ...


class Informers:
    """`begin` first, then `tell`: changes until then are delivered at once."""

    def __init__(self, connection: ApiClient, cluster: ClusterState) -> None:
        self.services = resources.services(connection, ServiceHandler(cluster, self._service_changed))
        self.slices = resources.slices(connection, EndpointSliceHandler(cluster, self._endpoints_changed))
        self._nodes = Cache[apitypes.Node](self._node_changed)
        self._cidrs = Cache[apitypes.ServiceCIDR](lambda _key, _item: self._cidrs_changed())
        self.node = resources.own_node(connection, cluster.node.name, self._nodes)
        self.cidrs = resources.service_cidrs(connection, self._cidrs)
        self._listener: ClusterListener | None = None
        self._services_changed = self._slices_changed = 0

    @property
    def reflectors(self) -> tuple[Reflector[Any], ...]:
        return self.services, self.slices, self.node, self.cidrs

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Watch until the group ends."""
        for reflector in self.reflectors:
            group.create_task(reflector.run())

    def tell(self, listener: ClusterListener) -> None:
        self._listener = listener
        if self._services_changed:
            listener.service_changed(self._services_changed)
        if self._slices_changed:
            listener.endpoints_changed(self._slices_changed)
        for key, item in self._nodes.items.items():
            listener.node_changed(key, item)

    def service_cidrs(self) -> list[apitypes.ServiceCIDR]:
        """Those that there are now."""
        return list(self._cidrs.items.values())

    def decode_s(self) -> float:
        """Seconds from the bytes of Services and EndpointSlices to values, since the start."""
        return self.services.counters.decode_s + self.slices.counters.decode_s

    def _service_changed(self) -> None:
        if self._listener is not None:
            self._listener.service_changed()
        else:
            self._services_changed += 1

    def _endpoints_changed(self) -> None:
        if self._listener is not None:
            self._listener.endpoints_changed()
        else:
            self._slices_changed += 1

    def _node_changed(self, key: Key, item: apitypes.Node | None) -> None:
        if self._listener is not None:
            self._listener.node_changed(key, item)

    def _cidrs_changed(self) -> None:
        if self._listener is not None:
            self._listener.cidrs_changed()
