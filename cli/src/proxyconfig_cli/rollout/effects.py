"""Fields of a spec that change, with the effect of each in the words of the CRD."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proxyconfig_api.objects.revision import written
from proxyconfig_api.spec.changes import changes_of
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_api.values.disruption import Disruption

_EFFECT = re.compile(r"Change: (?P<effect>.*?)\.?$", re.DOTALL)
"""How the description of every field of the CRD ends."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """`before` and `after` as the API writes them; None: not set, and the default holds. `effect` is in the CRD's own words."""

    path: str
    before: object
    after: object
    disruption: Disruption
    effect: str


def planned_changes(before: ProxyConfigSpec | None, after: ProxyConfigSpec, schema: Mapping[str, Any]) -> tuple[PlannedChange, ...]:
    """By path; `schema` is the one of `spec` in the CRD."""
    changes = changes_of({} if before is None else written(before), written(after))
    return tuple(PlannedChange(each.path, each.before, each.after, each.disruption, effect(schema, each.path)) for each in changes)


def effect(schema: Mapping[str, Any], path: str) -> str:
    """What a change of the field does, in the CRD's own words; empty if it says nothing."""
    sentence = ""
    for description in _descriptions(schema, path):
        if match := _EFFECT.search(description):
            inherited = match["effect"].startswith(("as ", "see "))
            sentence = sentence if inherited and sentence else match["effect"]
    return sentence


def _descriptions(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Of the sections that hold the field, and of the field itself."""
    for name in path.split("."):
        schema = schema.get("properties", {}).get(name, {})
        yield " ".join(str(schema.get("description", "")).split())
