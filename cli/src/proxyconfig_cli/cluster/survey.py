"""What preflight reads of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_cli.cluster import kube_proxy, proxyconfigs
from proxyconfig_cli.preflight.facts import Node, ProxyPod, Service
from proxyconfig_client.apiserver.client import ApiClient, path_of

PROXIES: Mapping[str, tuple[str, ...]] = {
    "k8s-app": ("kube-proxy", "cilium", "kube-router", "calico-node"),
    "app": ("antrea",),
    "app.kubernetes.io/name": ("kube-proxy",),
}
"""Labels of pods that are a proxy for Services, or may be one: Cilium's, Calico's and Antrea's replacements of kube-proxy can be off."""

SOURCES = (("kube-proxy", "config.conf"), ("kube-proxy-config", "config"))
"""ConfigMaps of kube-proxy and their keys: kubeadm's and EKS's."""


class _PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class _Pod(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _PodSpec


async def nodes_and_services(client: ApiClient) -> tuple[tuple[Node, ...], tuple[Service, ...]]:
    return await asyncio.gather(
        proxyconfigs.listed(client, path_of("v1", "nodes"), Node), proxyconfigs.listed(client, path_of("v1", "services"), Service)
    )


async def other_proxies(client: ApiClient, namespace: str) -> tuple[ProxyPod, ...]:
    pods = await proxyconfigs.listed(client, path_of("v1", "pods", namespace=namespace), _Pod)
    return tuple(ProxyPod(pod.spec.node_name, _owner(pod.metadata)) for pod in pods if _is_proxy(pod.metadata) and pod.spec.node_name)


async def kube_proxys_file(client: ApiClient, namespace: str) -> tuple[str, str]:
    """kube-proxy's configuration file and where it is; empty if none of the usual ConfigMaps is there."""
    for name, key in SOURCES:
        try:
            return await kube_proxy.config_map(client, namespace, name, key), f"ConfigMap {namespace}/{name}"
        except kube_proxy.NotFound:
            continue
    return "", ""


def _is_proxy(metadata: Metadata) -> bool:
    return any(metadata.labels.get(label) in values for label, values in PROXIES.items())


def _owner(metadata: Metadata) -> str:
    kind = next((f"{owner.kind} {metadata.namespace}/{owner.name}" for owner in metadata.owner_references), "")
    return kind if kind and not kind.startswith("Node ") else f"Pod {metadata.namespace}/{metadata.labels.get('k8s-app', metadata.name)}"
