"""The Leases by which agents show that they live: only that one has changed is of interest, and nothing else of it is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from proxyconfig_api.objects import heartbeat
from proxyconfig_client.watch.objects import Key, Metadata, key_of


class Heartbeat(msgspec.Struct, frozen=True):
    metadata: Metadata


class Heartbeats:
    """The handler of a reflector. `heard` is called with the node of each Lease that is another one than before."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._versions: dict[Key, str] = {}

    def on_upsert(self, item: Heartbeat) -> None:
        key, version = key_of(item), item.metadata.resource_version
        if self._versions.get(key) != version:
            self._versions[key] = version
            if node := heartbeat.node_of(key.name):
                self._heard(node)

    def on_delete(self, key: Key) -> None:
        """The agent makes it anew; if it does not, it is silent soon enough."""
        self._versions.pop(key, None)

    def keys(self) -> Iterable[Key]:
        return self._versions.keys()
