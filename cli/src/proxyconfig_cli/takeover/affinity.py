"""The affinity that keeps kube-proxy's DaemonSet off nodes with an agent, and who would take it away again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.names import CONFIG_LABEL

EXPRESSION: dict[str, Any] = {"key": CONFIG_LABEL, "operator": "DoesNotExist"}

OWNERS: Mapping[str, str] = {
    "addonmanager.kubernetes.io/mode": "the addon manager",
    "app.kubernetes.io/managed-by": "",
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "eks.amazonaws.com/component": "the EKS add-on",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
}
"""Labels and annotations of what is written by somebody else, with whom they stand for; empty: their value says it."""


def is_there(daemonset: Mapping[str, Any]) -> bool:
    """Whether every term of the node affinity has the expression: the terms are alternatives."""
    terms = _terms(daemonset)
    return bool(terms) and all(EXPRESSION in _without_values(term.get("matchExpressions", [])) for term in terms)


def patch(daemonset: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch that adds it to what the DaemonSet requires already."""
    terms = _terms(daemonset) or [{}]
    wanted = [{**term, "matchExpressions": [*term.get("matchExpressions", []), EXPRESSION]} for term in terms]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": wanted}}
    return {"spec": {"template": {"spec": {"affinity": {"nodeAffinity": required}}}}}


def owner(metadata: Metadata) -> str:
    """Who writes the DaemonSet, and would take a patch back; empty if nobody is known to."""
    if metadata.owner_references:
        return f"{metadata.owner_references[0].kind} {metadata.owner_references[0].name}"
    marks = {**metadata.labels, **metadata.annotations}
    return next((name or marks[key] for key, name in OWNERS.items() if key in marks), "")


def _terms(daemonset: Mapping[str, Any]) -> list[dict[str, Any]]:
    affinity = daemonset["spec"]["template"]["spec"].get("affinity") or {}
    required = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    found: list[dict[str, Any]] = required.get("nodeSelectorTerms", [])
    return found


def _without_values(expressions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"key": each["key"], "operator": each["operator"]} for each in expressions]
