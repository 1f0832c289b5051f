"""All that an agent watches at the API server, begun before the rest of the agent is there: lists take their time to come."""

from __future__ import annotations

import asyncio
from typing import Protocol

from proxyconfig_agent.cluster import Cluster
from proxyconfig_agent.ingest import wire
from proxyconfig_agent.watch import watches
from proxyconfig_agent.watch.sinks import ServiceSink, SliceSink
from proxyconfig_client.connection import Connection
from proxyconfig_client.objects import Cache, Key


class Listener(Protocol):
    """Who is told what has changed in the cluster."""

    def service_changed(self, times: int = 1) -> None: ...

    def endpoints_changed(self, times: int = 1) -> None: ...

    def node_changed(self, key: Key, item: wire.Node | None) -> None: ...

    def cidrs_changed(self) -> None: ...


class Watched:
    """`begin` it, then `tell` somebody: what has changed until then is told at once."""

    def __init__(self, connection: Connection, cluster: Cluster) -> None:
        self.services = watches.services(connection, ServiceSink(cluster, self._service_changed))
        self.slices = watches.slices(connection, SliceSink(cluster, self._endpoints_changed))
        self._nodes = Cache[wire.Node](self._node_changed)
        self._cidrs = Cache[wire.ServiceCIDR](lambda _key, _item: self._cidrs_changed())
        self.node = watches.own_node(connection, cluster.node.name, self._nodes)
        self.cidrs = watches.service_cidrs(connection, self._cidrs)
        self._listener: Listener | None = None
        self._services_changed = self._slices_changed = 0

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Watch until the group ends."""
        for watch in (self.services.run(), self.slices.run(), self.node.run(), self.cidrs.run()):
            group.create_task(watch)

    def tell(self, listener: Listener) -> None:
        self._listener = listener
        if self._services_changed:
            listener.service_changed(self._services_changed)
        if self._slices_changed:
            listener.endpoints_changed(self._slices_changed)
        for key, item in self._nodes.items.items():
            listener.node_changed(key, item)

    def service_cidrs(self) -> list[wire.ServiceCIDR]:
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

    def _node_changed(self, key: Key, item: wire.Node | None) -> None:
        if self._listener is not None:
            self._listener.node_changed(key, item)

    def _cidrs_changed(self) -> None:
        if self._listener is not None:
            self._listener.cidrs_changed()
