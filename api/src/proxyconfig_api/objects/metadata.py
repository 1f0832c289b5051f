"""The part of ObjectMeta that is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec


class OwnerReference(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    api_version: str
    kind: str
    name: str
    uid: str


class Metadata(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """All but the name is empty for an object that comes from a file."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
