"""Objects of the API that stand beside those of the scenarios: nodes, and the sentinel that tells when a proxy has caught up."""

from __future__ import annotations

from typing import Any

from tests.netns.topology import NODE2_NAME, NODE_NAME, PODS, Pair
from tests.scenarios.scenario import Object

SENTINEL = Pair("10.96.255.10", "fd00:10:96::ff0a")
ZONES = {NODE_NAME: "zone-a", NODE2_NAME: "zone-b"}


def node_object(name: str, pods: Pair, address: Pair) -> Object:
    """A Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": ZONES[name], "kubernetes.io/hostname": name}},
        "spec": {"podCIDR": pods.v4, "podCIDRs": list(pods.both)},
        "status": {"addresses": [{"type": "InternalIP", "address": text} for text in address.both]},
    }


def sentinel_port(generation: int) -> tuple[int, int]:
    """The sentinel's port at a generation, and its endpoint's: both change with every generation."""
    return 1000 + generation, 8080 if generation % 2 else 9090


def sentinel(generation: int) -> list[Object]:
    """A Service and its slices, to be written last. Watches keep the order of one kind, so who serves it has seen all the rest."""
    labels = {"kubernetes.io/service-name": "sentinel"}
    port, endpoint_port = sentinel_port(generation)
    spec: dict[str, Any] = {
        "clusterIP": SENTINEL.v4,
        "clusterIPs": list(SENTINEL.both),
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [{"name": "web", "port": port, "targetPort": 8080}],
    }
    slices: list[Object] = [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"sentinel-{family}", "namespace": "default", "labels": labels},
            "addressType": f"IPv{family}",
            "ports": [{"name": "web", "port": endpoint_port}],
            "endpoints": [{"addresses": [PODS["near1"][family]], "nodeName": NODE_NAME}],
        }
        for family in (4, 6)
    ]
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sentinel", "namespace": "default"}, "spec": spec}, *slices]
