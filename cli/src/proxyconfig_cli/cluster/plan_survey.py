"""What a plan reads of a cluster."""

from __future__ import annotations

import asyncio

from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.rollout.history import POD_COMPONENT
from proxyconfig_cli.rollout.nodes import Node
from proxyconfig_cli.rollout.plan import Cluster
from proxyconfig_client.apiserver.client import ApiClient, path_of


async def cluster(client: ApiClient, name: str, namespace: str) -> Cluster:
    """For the ProxyConfig `name`; `namespace` is the operator's."""
    before, others, nodes, proxies, revisions, pod_revisions = await asyncio.gather(
        proxyconfigs.find(client, name),
        proxyconfigs.others(client, name),
        proxyconfigs.listed(client, path_of("v1", "nodes"), Node),
        proxyconfigs.nodes(client, ""),
        proxyconfigs.revisions(client, name, namespace),
        proxyconfigs.revisions(client, name, namespace, POD_COMPONENT),
    )
    return Cluster(before, others, nodes, {each.metadata.name: each for each in proxies}, (*revisions, *pod_revisions))
