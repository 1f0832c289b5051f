"""The proxy process with its sockets, while the mode runs on this node: its routes, and a new process if it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.dataplane.userspace.kernel import processes
from proxyconfig_agent.dataplane.userspace.kernel.listeners import Listeners
from proxyconfig_agent.dataplane.userspace.kernel.proxy_client import ProxyClient
from proxyconfig_agent.dataplane.userspace.model.entrances import Entrances
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.dataplane.userspace.proxy.control.names import ALL_SERVICES, END
from proxyconfig_agent.ingest.model import Address


class Proxy:
    """Nothing is opened or started before `start`."""

    def __init__(self, purpose: str = ALL_SERVICES) -> None:
        self._purpose = purpose
        self._listeners: Listeners | None = None
        self._client: ProxyClient | None = None
        self._routes: dict[str, Route] = {}

    @property
    def is_running(self) -> bool:
        return self._client is not None and self._client.is_running

    def start(self, addresses: tuple[Address, ...]) -> Entrances:
        """Make sure of the process; it serves from `replace` on. Where it takes traffic, if that is at these addresses of the node.

        Raises DataplaneError."""
        try:
            if self._listeners is None:
                self._listeners = Listeners()
            if not self.is_running:
                self._restart(self._listeners)
        except OSError as error:
            raise DataplaneError(f"userspace: the proxy process cannot be started: {error}") from error
        return Entrances(self._listeners.ports, addresses)

    def replace(self, routes: Mapping[str, Route], udp_idle_s: float, mark: int = 0) -> list[str]:
        """Serve all of these. Keys of other routes that are served still: `drop` them when nothing leads to them any more."""
        client = self._running()
        client.configure(udp_idle_s, mark)
        self.put(route for key, route in routes.items() if self._routes.get(key) != route)
        client.serve()
        return [key for key in self._routes if key not in routes]

    def put(self, routes: Iterable[Route]) -> None:
        """Raises DataplaneError."""
        changed = list(routes)
        self._running().update(put=changed)
        self._routes.update((route.key, route) for route in changed)

    def drop(self, keys: Iterable[str]) -> None:
        """Raises DataplaneError."""
        gone = list(keys)
        self._running().update(drop=gone)
        for key in gone:
            self._routes.pop(key, None)

    def end(self) -> None:
        """End the process, and every other one of its purpose in this network namespace, when no rule leads to them any more. Raises
        DataplaneError and OSError."""
        processes.call(END, self._purpose)  # one that is killed leaves UDP flows that lead to it
        if self._client is not None:
            self._client.kill()
        self.close()
        processes.end(self._purpose)

    def close(self) -> None:
        """Leave the process to itself; see `ProxyClient.close`."""
        if self._client is not None:
            self._client.close()
        if self._listeners is not None:
            self._listeners.close()
        self._client = self._listeners = None
        self._routes = {}

    def _restart(self, listeners: Listeners) -> None:
        if self._client is not None:
            self._client.kill()
        self._client, self._routes = None, {}
        self._client = ProxyClient(listeners, self._purpose)

    def _running(self) -> ProxyClient:
        if self._client is None:
            raise DataplaneError("userspace: there is no proxy process; a full resync starts it")
        return self._client
