"""Revisions: the part of a spec that a node's data plane depends on, under a name made of its content.

Two specs that mean the same have the same revision, however they are written. What equals its default is left out, so that a
new field with a default makes no new revision of every ProxyConfig when the operator is upgraded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.spec.sections import ProxyConfigSpec

NOT_OF_NODES = frozenset({"node_selector", "priority", "rollout", "agent", "removal_policy"})
"""A change of these changes which nodes, when, or which pods, but not what a node's kernel does."""

HASH_LENGTH = 10


class Revision(msgspec.Struct, frozen=True):
    """`name` is that of the ControllerRevision, `spec` the part of the ProxyConfig's spec that it holds."""

    name: str
    spec: Mapping[str, Any]

    @property
    def content(self) -> dict[str, Any]:
        """The `data` of the ControllerRevision."""
        return {"spec": dict(self.spec)}


def revision_of(config: str, spec: ProxyConfigSpec) -> Revision:
    """The revision of the ProxyConfig named `config`: `<config>-<hash of the node's part of the spec>`."""
    part = {name: value for name, value in written(spec).items() if name not in _outer_names()}
    digest = hashlib.sha256(msgspec.json.encode(part, order="sorted")).hexdigest()
    return Revision(f"{config}-{digest[:HASH_LENGTH]}", part)


def parse_revision(content: Mapping[str, Any] | bytes) -> ProxyConfigSpec:
    """The node's part of a spec from the `data` of a ControllerRevision; the rest is at its defaults. Raises InvalidSpec."""
    return codec.decode(content, _Content).spec


def unknown_fields(content: Any) -> tuple[str, ...]:
    """The paths in the `data` of a ControllerRevision that this version does not know, such as `spec.sync.newField`."""
    return codec.unknown_fields(content, _Content)


def written(section: msgspec.Struct) -> dict[str, Any]:
    """The fields of a section that differ from their defaults, by their names in the API, without sections in which nothing does."""
    changed = {
        field.encode_name: written(value) if isinstance(value, msgspec.Struct) else codec.builtins(value)
        for field in msgspec.structs.fields(type(section))
        if (value := getattr(section, field.name)) != _default(field)
    }
    return {name: value for name, value in changed.items() if value != {}}


class _Content(msgspec.Struct, frozen=True):
    spec: ProxyConfigSpec


def _outer_names() -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(ProxyConfigSpec) if field.name in NOT_OF_NODES)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
