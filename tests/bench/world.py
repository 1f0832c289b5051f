"""The cluster that is measured against: Services and EndpointSlices by number, and the changes made to them.

Every Service has one port and one slice of ready endpoints, `ENDPOINTS` of them if nothing else is said, with all the fields that a real
one has (managed fields come from the API server), spread over many nodes.
Endpoint addresses are unique, so an address stands for one endpoint of one Service.
Knows no API server and no kernel.
"""

from __future__ import annotations

import ipaddress
import uuid
from typing import Any

ENDPOINTS = 10
NAMESPACE = "bench"
NODE = "node-0"
"""The node that is measured; like every other it has some of the endpoints."""
CLUSTER_CIDR = "10.128.0.0/9"
ORIGINAL = 60_000
"""The number of the Service that all others are copies of, beyond those that are measured."""

NODES = 500
ZONES = ("a", "b", "c")
PORT = 80
TARGET_PORT = 8080
_SERVICES_FROM = int(ipaddress.IPv4Address("10.96.16.0"))
_PODS_FROM = int(ipaddress.IPv4Address("10.128.0.0"))
_REPLACEMENTS_FROM = int(ipaddress.IPv4Address("10.240.0.0"))


class World:
    """What the API server has now; it grows, and endpoints are replaced."""

    def __init__(self, endpoints: int = ENDPOINTS) -> None:
        self.services = 0
        self.endpoints = endpoints
        """Of each Service."""
        self._replaced: dict[tuple[int, int], str] = {}
        self._replacements = 0

    def grow(self, services: int) -> range:
        """Have `services` Services from now on; the numbers of those that are new."""
        new = range(self.services, services)
        self.services = max(self.services, services)
        return new

    @property
    def next_address(self) -> str:
        """The address that the next replaced endpoint will get; none had it before."""
        return str(ipaddress.IPv4Address(_REPLACEMENTS_FROM + self._replacements))

    def replace_endpoint(self, number: int) -> None:
        """Give one endpoint of a Service `next_address`: a pod was replaced."""
        self._replaced[number, self._replacements % self.endpoints] = self.next_address
        self._replacements += 1

    def cluster_ips(self) -> set[str]:
        return {cluster_ip(number) for number in range(self.services)}

    def endpoint_addresses(self) -> set[str]:
        return {address for number in range(self.services) for address in self.addresses_of(number)}

    def addresses_of(self, number: int) -> list[str]:
        return [self._replaced.get((number, index)) or _pod_address(self._pod(number, index)) for index in range(self.endpoints)]

    def endpoint_slice(self, number: int) -> dict[str, Any]:
        """The EndpointSlice of a Service as the API takes it."""
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": slice_name(number),
                "namespace": NAMESPACE,
                "labels": {
                    "kubernetes.io/service-name": service_name(number),
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                    "app": service_name(number),
                },
                "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
                "ownerReferences": [
                    {
                        "apiVersion": "v1",
                        "kind": "Service",
                        "name": service_name(number),
                        "uid": _uid("service", number),
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "protocol": "TCP", "port": TARGET_PORT}],
            "endpoints": [
                _endpoint(number, index, self._pod(number, index), address) for index, address in enumerate(self.addresses_of(number))
            ],
        }

    def _pod(self, number: int, index: int) -> int:
        return number * self.endpoints + index


def service(number: int) -> dict[str, Any]:
    """A Service as the API takes it."""
    labels = {"app": service_name(number)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service_name(number), "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "clusterIP": cluster_ip(number),
            "ports": [{"name": "http", "protocol": "TCP", "port": PORT, "targetPort": TARGET_PORT}],
            "selector": labels,
        },
    }


def node(address: str) -> dict[str, Any]:
    """The measured Node as the API takes it; its status has to be written on its own."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "topology.kubernetes.io/zone": ZONES[0]}},
        "spec": {"podCIDR": "10.128.0.0/24", "podCIDRs": ["10.128.0.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": NODE}]},
    }


def service_name(number: int) -> str:
    return f"service-{number:05}"


def slice_name(number: int) -> str:
    return f"{service_name(number)}-x7k2p"


def cluster_ip(number: int) -> str:
    return str(ipaddress.IPv4Address(_SERVICES_FROM + number))


def _pod_address(pod: int) -> str:
    return str(ipaddress.IPv4Address(_PODS_FROM + pod))


def _endpoint(number: int, index: int, pod: int, address: str) -> dict[str, Any]:
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"node-{pod % NODES}",
        "zone": ZONES[pod % NODES % len(ZONES)],
        "targetRef": {
            "kind": "Pod",
            "namespace": NAMESPACE,
            "name": f"{service_name(number)}-5d4f8c7b9-{index:05}",
            "uid": _uid("pod", pod),
        },
    }


def _uid(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}-{number}"))
