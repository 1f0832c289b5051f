"""Clusters for plans: a ProxyConfig `default` whose rollout is complete, and what has happened since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.assignment import OS_LABEL
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.objects.revision import revision_of
from proxyconfig_cli.rollout.history import COMPONENT, COMPONENT_LABEL, POD_COMPONENT, Revision
from proxyconfig_cli.rollout.nodes import Node
from proxyconfig_cli.rollout.plan import Cluster

Spec = Mapping[str, Any]
NODES = [f"n{index:02}" for index in range(12)]
"""In three zones by turns; the first two are in the pool edge, all others in core."""
PODS = "p1"
"""The pod revision of what `spec.agent` is in a cluster that has just been made."""


def config(spec: Spec, name: str = "default", **metadata: Any) -> ProxyConfig:
    return ProxyConfig.parse({"metadata": {"name": name} | metadata, "spec": spec})


def node(name: str, *, ready: str = "True", system: str = "linux") -> Node:
    index = int(name[1:])
    labels = {OS_LABEL: system, "zone": "abc"[index % 3], "pool": "edge" if index < 2 else "core"}
    return codec.decode(
        {"metadata": {"name": name, "labels": labels}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}, Node
    )


def proxy(name: str, revision: str, *, owner: str = "default", pods: str = PODS, ready: bool = True) -> NodeProxy:
    """Of a node whose agent has applied it."""
    condition = {"type": "Ready", "status": str(ready), "reason": "Synced", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    spec = {"configName": owner, "revisionName": revision, "podRevision": pods}
    return codec.decode(
        {"metadata": {"name": name}, "spec": spec, "status": {"observedRevision": revision, "conditions": [condition]}}, NodeProxy
    )


def revision(spec: Spec) -> str:
    """The name of what nodes run of it."""
    return revision_of("default", config(spec).spec).name


def stored(spec: Spec, pods: str = PODS) -> tuple[Revision, Revision]:
    """What the operator keeps of a spec: of what a node does, and of the agents' pods."""
    content = revision_of("default", config(spec).spec)
    template = {"metadata": {"labels": {names.POD_REVISION_LABEL: pods}}}
    data = (
        (content.name, COMPONENT, {"spec": content.spec}),
        (f"default-pods-{pods}", POD_COMPONENT, {"template": template, "spec": {"agent": spec.get("agent", {})}}),
    )
    first, second = (
        codec.decode({"metadata": {"name": name, "labels": {COMPONENT_LABEL: kind}}, "revision": 1, "data": each}, Revision)
        for name, kind, each in data
    )
    return first, second


def complete(spec: Spec, nodes: Sequence[Node] = tuple(map(node, NODES)), others: Iterable[ProxyConfig] = ()) -> Cluster:
    """All Linux nodes run it."""
    rollout = {"revision": revision(spec), "podRevision": PODS, "phase": "Complete"}
    mine = [each.metadata.name for each in nodes if each.metadata.labels[OS_LABEL] == "linux"]
    return Cluster(
        before=rolled(spec, rollout),
        others=tuple(others),
        nodes=nodes,
        proxies={name: proxy(name, revision(spec)) for name in mine},
        revisions=stored(spec),
    )


def rolled(spec: Spec, rollout: Mapping[str, Any]) -> ProxyConfig:
    """The ProxyConfig with a status of its rollout."""
    return msgspec.structs.replace(
        config(spec), status=ProxyConfig.parse({"metadata": {"name": "default"}, "spec": {}, "status": {"rollout": rollout}}).status
    )
