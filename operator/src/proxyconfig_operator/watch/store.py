"""Objects by name, as the reflectors and kopf saw them last. Tells of changes that matter, so that heartbeats wake nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from proxyconfig_client.watch.objects import Key, Object, key_of

T = TypeVar("T", bound=Object)


class Store(Generic[T]):
    """The sink of a reflector for objects whose names are unique among all that it gets."""

    def __init__(self, changed: Callable[[T | None, T | None], None]) -> None:
        """`changed(old, new)` is called when a decoded field other than the resourceVersion is another one; None means absent."""
        self.items: dict[str, T] = {}
        self.version = 0
        """Grows with every change that matters."""
        self._changed = changed

    def on_upsert(self, item: T) -> None:
        old = self.items.get(item.metadata.name)
        self.items[item.metadata.name] = item
        if old is None or _essence(old) != _essence(item):
            self._tell(old, item)

    def on_delete(self, key: Key) -> None:
        if (old := self.items.pop(key.name, None)) is not None:
            self._tell(old, None)

    def keys(self) -> Iterable[Key]:
        return [key_of(item) for item in self.items.values()]

    def merge(self, known: Mapping[str, T], listed: Iterable[T]) -> None:
        """Take over what a list has and a watch has missed. `known` is what was here before the list was read.

        An object that has not changed here meanwhile is as the list says, also at an earlier version: etcd may have been restored.
        One that has changed here meanwhile stays if it is newer than the list.
        """
        fresh = {item.metadata.name: item for item in listed}
        for name in known.keys() - fresh.keys():
            if self.items.get(name) is known[name]:
                self.on_delete(key_of(known[name]))
        for name, item in fresh.items():
            here = self.items.get(name)
            if here is known.get(name) or (here is not None and _version(item) > _version(here)):
                self.on_upsert(item)

    def _tell(self, old: T | None, new: T | None) -> None:
        self.version += 1
        self._changed(old, new)


def _essence(item: Any) -> object:
    """The item without its resourceVersion. All our items, and their metadata, are msgspec Structs."""
    return msgspec.structs.replace(item, metadata=msgspec.structs.replace(item.metadata, resource_version=""))


def _version(item: Object) -> int:
    version = item.metadata.resource_version
    return int(version) if version.isdigit() else 0
