"""Putting a ProxyConfig's release on a node: its NodeProxy and its labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import NodeProxy, NodeProxySpec
from proxyconfig_operator.model.objects import Node
from proxyconfig_operator.model.writes import Apply, Label, Resource, Write


def writes_of(wanted: NodeProxySpec, node: Node, proxy: NodeProxy | None) -> tuple[Write, ...]:
    """What a member lacks of being placed as `wanted`; empty if nothing.

    `change` goes along with another release or another attempt at it; by itself it is no reason to write."""
    if proxy is not None and _is_same_order(wanted, proxy.spec):
        wanted = proxy.spec
    placed = proxy is not None and proxy.spec == wanted and _owned(proxy, node)
    return (*(() if placed else (place(node, wanted),)), *label(node, config=wanted.config_name))


def place(node: Node, spec: NodeProxySpec, annotations: Mapping[str, str] | None = None) -> Apply:
    """The NodeProxy of a node, garbage-collected with it."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": node.metadata.name, "uid": node.metadata.uid}
    metadata: dict[str, Any] = {
        "name": node.metadata.name,
        "labels": {names.CONFIG_LABEL: spec.config_name},
        "ownerReferences": [owner],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    body = {"apiVersion": names.API_VERSION, "kind": "NodeProxy", "metadata": metadata, "spec": codec.filled(codec.builtins(spec))}
    return Apply(Resource.NODE_PROXY, node.metadata.name, body)


def _is_same_order(wanted: NodeProxySpec, given: NodeProxySpec) -> bool:
    return msgspec.structs.replace(wanted, change=given.change) == given and wanted.change.retry == given.change.retry


def _owned(proxy: NodeProxy, node: Node) -> bool:
    """Whether it belongs to this very node, not to an earlier one of its name."""
    return any(owner.uid == node.metadata.uid for owner in proxy.metadata.owner_references)


def label(node: Node, *, config: str = "", leaving: str = "") -> tuple[Label, ...]:
    """The labels by which DaemonSets select the node, where it has others: those of agents by either, that of kube-proxy by the lack of the
    first. In one patch, so that an agent's pod that stays is never without both."""
    wanted = {names.CONFIG_LABEL: config or None, names.LEAVING_LABEL: leaving or None}
    changed = {key: value for key, value in wanted.items() if node.metadata.label(key) != (value or "")}
    return (Label(node.metadata.name, node.metadata.uid, changed),) if changed else ()
