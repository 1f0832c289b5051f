"""What applying a ProxyConfig will do: fields that change, with the effect of each, and the nodes and waves that it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.revision import revision_of, written
from proxyconfig_api.spec.changes import changes_of
from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_api.spec.waves import least_s, waves_of
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


class _Candidate(NamedTuple):
    name: str
    group: str
    canary: bool


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    changes: tuple[PlannedChange, ...]
    joining: tuple[str, ...]
    """Nodes that the ProxyConfig selects newly."""
    leaving: tuple[str, ...]
    nodes: int
    """That it selects."""
    revision: str
    """The new one; empty where the kernel of no node changes."""
    replaces_pods: bool
    """Whether the agents' pods are replaced, in the same waves."""
    waves: int
    """0 at a first installation as well: there is nothing to go back to."""
    least_s: float
    """The shortest time that the waves take."""


def plan(name: str, before: ProxyConfigSpec | None, after: ProxyConfigSpec, nodes: Sequence[Metadata], schema: Mapping[str, Any]) -> Plan:
    """`before` is None if there is no such ProxyConfig yet; `schema` is the one of `spec` in the CRD."""
    old = {} if before is None else written(before)
    new = written(after)
    was = set() if before is None else {node.name for node in nodes if before.node_selector.matches(node.labels)}
    selected = [node for node in nodes if after.node_selector.matches(node.labels)]
    now = {node.name for node in selected}
    revision = revision_of(name, after).name
    is_same = before is not None and revision_of(name, before).name == revision
    changes = changes_of(old, new)
    replaces_pods = any(each.disruption is Disruption.RESTARTS_AGENTS for each in changes)
    waves = wave_count(selected, after.rollout) if before is not None and (replaces_pods or not is_same) else 0
    return Plan(
        name=name,
        changes=tuple(PlannedChange(each.path, each.before, each.after, each.disruption, effect(schema, each.path)) for each in changes),
        joining=tuple(sorted(now - was)),
        leaving=tuple(sorted(was - now)),
        nodes=len(selected),
        revision="" if is_same else revision,
        replaces_pods=before is not None and replaces_pods,
        waves=waves,
        least_s=least_s(waves, after.rollout),
    )


def wave_count(nodes: Sequence[Metadata], rollout: Rollout) -> int:
    """In how many waves `nodes` change, if all are healthy and none has the new revision."""
    ranked = sorted((_candidate(node, rollout) for node in nodes), key=lambda each: (each.group, each.name))
    return len(waves_of(ranked, rollout, total=len(ranked)))


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


def _candidate(node: Metadata, rollout: Rollout) -> _Candidate:
    selector = rollout.canary.selector
    return _Candidate(node.name, node.labels.get(rollout.topology_key, ""), selector is not None and selector.matches(node.labels))
