"""What takeover reads and writes: kube-proxy's DaemonSet, labels of nodes, and the ProxyConfig."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import RemovalPolicy
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster.connection import MANAGER
from proxyconfig_cli.preflight.facts import Node
from proxyconfig_cli.takeover.fleet import Fleet
from proxyconfig_cli.takeover.turns import TURN_LABEL
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.errors import ClientError, is_missing

_MERGE = "application/merge-patch+json"


async def daemonset(client: ApiClient, namespace: str, name: str) -> tuple[dict[str, Any], Metadata] | None:
    """kube-proxy's; None if there is none."""
    try:
        found: dict[str, Any] = msgspec.json.decode(await client.get(path_of("apps/v1", "daemonsets", name, namespace=namespace)))
    except ClientError as error:
        if not is_missing(error):
            raise
        return None
    return found, codec.decode(found["metadata"], Metadata)


async def patch_daemonset(client: ApiClient, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
    path = path_of("apps/v1", "daemonsets", name, namespace=namespace)
    await client.call("PATCH", path, query={"fieldManager": MANAGER}, body=patch, content_type=_MERGE)


async def nodes(client: ApiClient) -> tuple[Node, ...]:
    return await proxyconfigs.listed(client, path_of("v1", "nodes"), Node)


async def fleet(client: ApiClient, config: ProxyConfig) -> Fleet:
    """The Linux nodes that the ProxyConfig selects; nobody is left out."""
    every = [node for node in await nodes(client) if config.spec.node_selector.matches(node.metadata.labels)]
    linux = [node for node in every if node.status.node_info.operating_system in ("", "linux")]
    proxies = {proxy.metadata.name: proxy for proxy in await proxyconfigs.nodes(client, config.metadata.name)}
    down = {node.metadata.name: node.trouble for node in linux if node.trouble}
    return Fleet(config.metadata.name, tuple(node.metadata for node in linux), proxies, down)


async def give_turn(client: ApiClient, turns: Sequence[str], name: str | None) -> None:
    """Label nodes; None: take the label away."""
    for node in turns:
        body = {"metadata": {"labels": {TURN_LABEL: name}}}
        await client.call("PATCH", path_of("v1", "nodes", node), query={"fieldManager": MANAGER}, body=body, content_type=_MERGE)


async def apply(client: ApiClient, manifest: Mapping[str, Any]) -> None:
    """The ProxyConfig, as `kubectl apply --server-side --force-conflicts`."""
    path = path_of(names.API_VERSION, "proxyconfigs", str(manifest["metadata"]["name"]))
    query = {"fieldManager": MANAGER, "force": "true"}
    await client.call("PATCH", path, query=query, body=dict(manifest), content_type="application/apply-patch+yaml")


async def set_removal_policy(client: ApiClient, name: str, policy: RemovalPolicy) -> None:
    """What becomes of the rules of nodes that leave from now on, or are leaving."""
    path, body = path_of(names.API_VERSION, "proxyconfigs", name), {"spec": {"removalPolicy": policy.value}}
    await client.call("PATCH", path, query={"fieldManager": MANAGER}, body=body, content_type=_MERGE)


async def delete(client: ApiClient, name: str) -> None:
    await client.call("DELETE", path_of(names.API_VERSION, "proxyconfigs", name))
