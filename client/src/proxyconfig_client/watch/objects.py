"""What a reflector reads of any object, and the handler that it calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec


class Key(NamedTuple):
    """The name of an object among those of its kind; `namespace` is empty for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """The least that a decoded object must have under `metadata`; subclass it for more fields, or bring your own type with these."""

    name: str
    namespace: str = ""
    resource_version: str = ""


class Identified(Protocol):
    """`Metadata`, or any type with these fields."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class Object(Protocol):
    @property
    def metadata(self) -> Identified: ...


T = TypeVar("T", bound=Object)
T_contra = TypeVar("T_contra", bound=Object, contravariant=True)


def key_of(item: Object) -> Key:
    return Key(item.metadata.namespace, item.metadata.name)


class Handler(Protocol[T_contra]):
    """Receives the objects of a resource. Called in the event loop; must not raise."""

    def on_upsert(self, item: T_contra) -> None:
        """An object was added, has changed, or was listed again unchanged."""
        ...

    def on_delete(self, key: Key) -> None:
        """An object is gone; it may be unknown."""
        ...

    def keys(self) -> Iterable[Key]:
        """Of all objects added and not deleted: a new list deletes those that it does not contain."""
        ...


class Cache(Generic[T]):
    """A handler that keeps objects in a dict. `changed` is called with the key and the object, or None when it is gone."""

    def __init__(self, changed: Callable[[Key, T | None], None] = lambda _key, _item: None) -> None:
        self.items: dict[Key, T] = {}
        self._changed = changed

    def on_upsert(self, item: T) -> None:
        key = key_of(item)
        self.items[key] = item
        self._changed(key, item)

    def on_delete(self, key: Key) -> None:
        if self.items.pop(key, None) is not None:
            self._changed(key, None)

    def keys(self) -> Iterable[Key]:
        return self.items.keys()


def is_older(version: str, than: str) -> bool:
    """Whether a resourceVersion is an earlier one of the same resource. They are decimal numbers; what is none is not comparable."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
