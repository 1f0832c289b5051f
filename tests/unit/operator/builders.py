"""Objects of a small cluster, as values, for tests of what is pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.assignment import OS_LABEL, assign
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.objects.revision import revision_of
from proxyconfig_operator.decide.agent_daemonset import Installation, pod_revision_of, render
from proxyconfig_operator.decide.revisions import COMPONENT_LABEL, POD_COMPONENT
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.address import Address
from proxyconfig_operator.model.objects import Config, DaemonSet, Node, Pod, Revision
from proxyconfig_operator.model.waits import Waits

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
INSTALLATION = Installation(names.NAMESPACE, "registry.test/agent:1", Address("192.0.2.1", 6443))


def config(name: str = "x", *, age_s: int = 0, deleted_ago_s: float | None = None, finalizers: Iterable[str] = (), **spec: Any) -> Config:
    metadata: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "generation": 1, "finalizers": list(finalizers)}
    metadata["creationTimestamp"] = (NOW - timedelta(seconds=age_s)).isoformat()
    if deleted_ago_s is not None:
        metadata["deletionTimestamp"] = (NOW - timedelta(seconds=deleted_ago_s)).isoformat()
    return Config.of({"metadata": metadata, "spec": spec})


X1 = revision_of("x", config().spec).name
"""The revision of a ProxyConfig x that says nothing."""
P1 = pod_revision_of(render(config(), INSTALLATION))
"""The revision of its agents' pods."""


def node(name: str, *, ready: str = "True", system: str = "linux", **labels: str) -> Node:
    condition = {"type": "Ready", "status": ready, "reason": "Kubelet", "message": "what kubelet says"}
    metadata = {"name": name, "uid": f"uid-{name}", "labels": {OS_LABEL: system} | labels}
    return msgspec.convert({"metadata": metadata, "status": {"conditions": [condition]}}, Node)


def labelled(name: str, owner: str, **labels: str) -> Node:
    """A node that was given to a ProxyConfig."""
    return node(name, **labels, **{names.CONFIG_LABEL: owner})


def proxy(
    name: str,
    owner: str = "x",
    revision: str = "x-1",
    *,
    action: str = "Apply",
    pods: str = P1,
    generation: int = 1,
    annotations: Mapping[str, str] | None = None,
    **status: Any,
) -> NodeProxy:
    reference = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": f"uid-{name}"}
    metadata = {"name": name, "uid": f"uid-proxy-{name}", "generation": generation, "ownerReferences": [reference]}
    metadata["annotations"] = dict(annotations or {})
    spec = {"configName": owner, "revisionName": revision, "podRevision": pods, "action": action}
    return codec.decode({"metadata": metadata, "spec": spec, "status": status}, NodeProxy)


def reported(revision: str, *, ready: bool = True, reason: str = "Synced", message: str = "", degraded: str = "") -> dict[str, Any]:
    """The status of an agent that has applied a revision."""
    conditions = [condition("Ready", holds=ready, reason=reason, message=message)]
    if degraded:
        conditions.append(condition("Degraded", holds=True, reason=degraded, message="something was not done"))
    return {"observedGeneration": 1, "observedRevision": revision, "conditions": conditions}


def condition(kind: str, *, holds: bool, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": str(holds), "reason": reason, "message": message, "lastTransitionTime": NOW.isoformat()}


def pod(name: str, on: str, owner: str = "x", *, pods: str = P1, ready: bool = True, ending: bool = False, **status: Any) -> Pod:
    labels = {names.CONFIG_LABEL: owner, names.POD_REVISION_LABEL: pods}
    metadata = {"name": name, "uid": f"uid-{name}", "labels": labels, "creationTimestamp": NOW.isoformat()}
    if ending:
        metadata["deletionTimestamp"] = NOW.isoformat()
    usual = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"name": names.AGENT, "ready": ready, "state": {}}],
    }
    return msgspec.convert({"metadata": metadata, "spec": {"nodeName": on}, "status": usual | status}, Pod)


def pod_revision(name: str, owner: str = "x", number: int = 1, **template: Any) -> Revision:
    """A revision of the agents' pods, with the template of which they are made."""
    labels = {names.CONFIG_LABEL: owner, COMPONENT_LABEL: POD_COMPONENT}
    metadata = {"name": f"{owner}-pods-{name}", "uid": f"uid-{name}", "labels": labels}
    template["metadata"] = {"labels": {names.POD_REVISION_LABEL: name}}
    return msgspec.convert({"metadata": metadata, "revision": number, "data": {"template": template}}, Revision)


def revision(name: str, number: int, owner: str = "x") -> Revision:
    return msgspec.convert(
        {"metadata": {"name": name, "uid": f"uid-{name}", "labels": {names.CONFIG_LABEL: owner}}, "revision": number}, Revision
    )


def snapshot(
    configs: Iterable[Config] = (),
    nodes: Iterable[Node] = (),
    *,
    proxies: Iterable[NodeProxy] = (),
    pods: Iterable[Pod] = (),
    revisions: Iterable[Revision] = (),
    daemonsets: Iterable[DaemonSet] = (),
    probe_pods: Iterable[Pod] = (),
    waits: Waits | None = None,
    now: datetime = NOW,
) -> Snapshot:
    """Everything at once, at NOW, with two minutes for removals. Unless `waits` says otherwise all agents are heard."""
    configs, nodes = tuple(configs), tuple(nodes)
    return Snapshot(
        configs={each.name: each for each in configs},
        nodes={each.metadata.name: each for each in nodes},
        proxies={each.metadata.name: each for each in proxies},
        pods={each.metadata.name: each for each in pods},
        revisions={each.metadata.name: each for each in revisions},
        daemonsets={each.metadata.name: each for each in daemonsets},
        assignment=assign(configs, nodes),
        installation=INSTALLATION,
        removal_deadline_s=120,
        waits=waits or Waits(heard=frozenset(each.metadata.name for each in nodes)),
        now=now,
        probe_pods={each.metadata.name: each for each in probe_pods},
    )
