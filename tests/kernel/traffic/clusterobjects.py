"""Objects of the API that stand beside those of the scenarios: nodes, and Services in large numbers."""

from __future__ import annotations

from tests.support.netns.topology import NODE2_NAME, NODE_NAME, Pair
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

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


def many_services(count: int, endpoints: int = 3, first_endpoint: int = 20) -> dict[Key, Object]:
    """That many ClusterIP Services in both families, with endpoints that nobody answers for."""
    objects: dict[Key, Object] = {}
    for index in range(count):
        name = f"web-{index}"
        pair = [f"10.96.{1 + index // 250}.{1 + index % 250}", f"fd00:10:96::{0x1000 + index:x}"]
        spec = {"clusterIP": pair[0], "clusterIPs": pair, "ipFamilyPolicy": "RequireDualStack", "ports": [{"name": "web", "port": 80}]}
        metadata = {"namespace": "many", "name": name}
        objects["Service", "many", name] = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        for family, stem in ((4, "10.244.1."), (6, "fd00:244:1::")):
            objects["EndpointSlice", "many", f"{name}-{family}"] = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"namespace": "many", "name": f"{name}-{family}", "labels": {SERVICE_LABEL: name}},
                "addressType": f"IPv{family}",
                "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}],
                "endpoints": [{"addresses": [f"{stem}{first_endpoint + number}"]} for number in range(endpoints)],
            }
    return objects
