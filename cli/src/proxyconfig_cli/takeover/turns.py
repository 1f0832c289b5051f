"""Whose turn it is: nodes that were given to the ProxyConfig, and the next wave of them. The state is in the nodes' labels alone."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.names import GROUP
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_api.spec.sections import Takeover
from proxyconfig_api.spec.waves import waves_of
from proxyconfig_api.status.conditions import condition, is_true

TURN_LABEL = f"{GROUP}/takeover"
"""On a node whose turn has come; its value is the ProxyConfig's name. The ProxyConfig selects these nodes until all have it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    name: str
    group: str
    canary: bool


def gated(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The ProxyConfig, selecting only nodes whose turn has come."""
    spec = manifest.get("spec") or {}
    selector = spec.get("nodeSelector") or {}
    labels = {**selector.get("matchLabels", {}), TURN_LABEL: manifest["metadata"]["name"]}
    return {**manifest, "spec": {**spec, "nodeSelector": {**selector, "matchLabels": labels}}}


def explicit(manifest: Mapping[str, Any], takeover: Takeover) -> dict[str, Any]:
    """The ProxyConfig with spec.takeover written out: where another field manager has written Observe, a manifest without it would leave
    that in force."""
    return {**manifest, "spec": {**(manifest.get("spec") or {}), "takeover": takeover.value}}


def next_wave(nodes: Sequence[Metadata], rollout: Rollout, name: str, down: Container[str] = ()) -> tuple[str, ...]:
    """The nodes whose turn comes next, by name; none if all have had it but those that are down."""
    selector, key = rollout.canary.selector, rollout.topology_key
    left = [node for node in nodes if node.labels.get(TURN_LABEL) != name]
    ranked = [
        Candidate(node.name, node.labels.get(key, ""), selector is not None and selector.matches(node.labels))
        for node in sorted((node for node in left if node.name not in down), key=lambda node: (node.labels.get(key, ""), node.name))
    ]
    waves = waves_of(ranked, rollout, total=len(nodes), given=len(nodes) - len(left))
    return tuple(each.name for each in waves[0]) if waves else ()


def waiting(names: Sequence[str], proxies: Mapping[str, NodeProxy]) -> dict[str, str]:
    """The nodes that do not serve yet, each with the words of its agent."""
    found = {name: _words(proxies.get(name)) for name in names}
    return {name: words for name, words in found.items() if words}


def _words(proxy: NodeProxy | None) -> str:
    if proxy is None:
        return "no NodeProxy yet"
    status, ready = proxy.status, condition(proxy.status.conditions, "Ready")
    if not is_true(status.conditions, "Ready"):
        return "the agent has not reported yet" if ready is None else f"{ready.reason}: {ready.message}"
    programmed = condition(status.conditions, "Programmed")
    if programmed is not None and not is_true(status.conditions, "Programmed"):  # one that only observes is ready, too
        return f"{programmed.reason}: {programmed.message}"
    return "" if status.observed_revision == proxy.spec.revision_name else f"has {status.observed_revision or 'no revision'}"
