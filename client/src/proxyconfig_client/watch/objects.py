"""What the reflector has to know of any object, and where objects go."""

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
    """What is read of any metadata: `Metadata`, or a type that has these fields as well."""

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
    """Where a reflector puts what it sees. Its methods are called from the event loop and must not raise."""

    def put(self, item: T_contra) -> None:
        """An object is new, has changed, or was listed again as it was."""
        ...

    def drop(self, key: Key) -> None:
        """An object is gone; perhaps it was never put."""
        ...

    def known(self) -> Iterable[Key]:
        """The keys of everything put and not dropped: a new list drops those that are not in it."""
        ...


class Cache(Generic[T]):
    """The sink that keeps objects in a dict. `changed` is told the key and the object, or None when it is gone."""

    def __init__(self, changed: Callable[[Key, T | None], None] = lambda _key, _item: None) -> None:
        self.items: dict[Key, T] = {}
        self._changed = changed

    def put(self, item: T) -> None:
        key = key_of(item)
        self.items[key] = item
        self._changed(key, item)

    def drop(self, key: Key) -> None:
        if self.items.pop(key, None) is not None:
            self._changed(key, None)

    def known(self) -> Iterable[Key]:
        return self.items.keys()
