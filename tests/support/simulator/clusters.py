"""Random clusters: Services and EndpointSlices of many shapes, and changes of them. The same seed makes the same cluster.

Some Services claim what others have: external addresses and node ports of a common pool, cluster IPs.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.kernel.traffic.clusterobjects import ZONES
from tests.support.netns.topology import NODE, NODE2_NAME, NODE_NAME, OUTSIDE, OUTSIDE_OTHER, PODS, Pair
from tests.support.scenarios.book import NETNS, Book
from tests.support.scenarios.objects import SERVICE_LABEL, Allocator, Key
from tests.support.scenarios.scenario import Object

NAMESPACE = "random"
NAMES = ("a", "b", "c", "d", "e", "f")
PROTOCOLS = ("TCP", "UDP", "SCTP")
PORTS = {"web": 80, "admin": 81, "dns": 53}
TARGETS = (8080, 9090)
_RANGES: tuple[list[str], ...] = (
    [],
    [f"{OUTSIDE.v4}/32", f"{OUTSIDE.v6}/128"],
    [f"{OUTSIDE_OTHER.v4}/32", f"{PODS['client'].v4}/32", f"{OUTSIDE_OTHER.v6}/128", f"{PODS['client'].v6}/128"],
    ["192.168.0.0/16", "192.168.50.0/24", "10.244.0.0/23", "fd00:50::/32", "fd00:50::/64", "fd00:244::/32"],
    [f"{NODE.v4}/32", f"{NODE.v6}/128"],
    ["0.0.0.0/0"],
    ["198.51.100.0/25"],
)


_CREATED = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
_CONTESTED = 0.15
"""Of external addresses and node ports."""


class Clusters:
    """A source of random objects. Names, addresses and node ports belong together, whatever else changes."""

    def __init__(self, random: Random, book: Book = NETNS) -> None:
        self._random = random
        self._book = book
        self._allocator = Allocator(book)

    def cluster(self, services: int = len(NAMES)) -> dict[Key, Object]:
        """That many Services and what belongs to them."""
        objects: dict[Key, Object] = {}
        for name in NAMES[:services]:
            objects |= self._service_with_slices(name)
        return objects

    def changed(self, objects: dict[Key, Object]) -> dict[Key, Object]:
        """The same with a few changes: Services and slices come, go, and are others."""
        result = dict(objects)
        for _ in range(self._random.randint(1, 3)):
            name = self._random.choice(NAMES)
            match self._random.randrange(4):
                case 0:
                    result.pop(("Service", NAMESPACE, name), None)
                case 1:
                    result["Service", NAMESPACE, name] = self._updated(result.get(("Service", NAMESPACE, name)), name)
                case 2:
                    result = {key: one for key, one in result.items() if not _is_slice_of(one, name)} | self._slices(name)
                case _:
                    result = {key: one for key, one in result.items() if key[2] != name and not _is_slice_of(one, name)}
        return result

    def _service_with_slices(self, name: str) -> dict[Key, Object]:
        return {("Service", NAMESPACE, name): self._service(name), **self._slices(name)}

    def _updated(self, before: Object | None, name: str) -> Object:
        """A Service that is updated stays as old as it was."""
        made = self._service(name)
        if before:
            made["metadata"]["creationTimestamp"] = before["metadata"]["creationTimestamp"]
        return made

    def _service(self, name: str) -> Object:
        kind = self._random.choice(("ClusterIP", "NodePort", "LoadBalancer"))
        families = self._random.choice((["IPv4", "IPv6"], ["IPv4", "IPv6"], ["IPv4"], ["IPv6"]))
        pair = self._allocator.cluster_ip(NAMESPACE, name)
        addresses = [pair[int(family[-1])] for family in families]
        spec: Object = {
            "type": kind,
            "ipFamilies": families,
            "ipFamilyPolicy": "RequireDualStack" if len(families) > 1 else "SingleStack",
            "clusterIP": addresses[0],
            "clusterIPs": addresses,
            "ports": list(self._ports(name, kind)),
            "internalTrafficPolicy": self._random.choice(("Cluster", "Cluster", "Local")),
        }
        if self._random.random() < 0.4:
            spec["externalIPs"] = self._addresses(name, "external", families)
        if kind != "ClusterIP" or "externalIPs" in spec:
            spec["externalTrafficPolicy"] = self._random.choice(("Cluster", "Local"))
        if self._random.random() < 0.3:
            spec["sessionAffinity"] = "ClientIP"
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": self._random.choice((60, 3600, 10800))}}
        metadata = {"namespace": NAMESPACE, "name": name, "creationTimestamp": self._random.choice(_CREATED)}
        made: Object = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        if kind == "LoadBalancer":
            self._balance(made, name, families)
        if self._random.random() < 0.05:
            made["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "another"}
        return made

    def _balance(self, made: Object, name: str, families: list[str]) -> None:
        mode = self._random.choice(("VIP", "VIP", None, "Proxy"))
        entries = [{"ip": address, **({"ipMode": mode} if mode else {})} for address in self._addresses(name, "balancer", families)]
        made["status"] = {"loadBalancer": {"ingress": entries}}
        if ranges := self._random.choice(_RANGES):
            made["spec"]["loadBalancerSourceRanges"] = ranges
        if made["spec"]["externalTrafficPolicy"] == "Local":
            made["spec"]["healthCheckNodePort"] = self._allocator.node_port(NAMESPACE, name, "health check")

    def _ports(self, name: str, kind: str) -> Iterator[Object]:
        for port in self._random.sample(sorted(PORTS), self._random.randint(1, 2)):
            for protocol in self._random.sample(PROTOCOLS, self._random.choice((1, 1, 2))):
                made = {"name": f"{port}-{protocol.lower()}", "port": PORTS[port], "protocol": protocol}
                if kind != "ClusterIP":
                    made["nodePort"] = self._allocator.node_port(NAMESPACE, self._owner(name), port)
                yield made

    def _addresses(self, name: str, word: str, families: list[str]) -> list[str]:
        pairs = [self._allocator.public(NAMESPACE, self._owner(name), word, str(number)) for number in range(self._random.randint(1, 2))]
        if self._random.random() < _CONTESTED / 3:
            another = self._random.choice([other for other in NAMES if other != name])
            pairs.append(self._allocator.cluster_ip(NAMESPACE, another))
        return [pair[int(family[-1])] for pair in pairs for family in families]

    def _owner(self, name: str) -> str:
        """Whose addresses and node ports a Service asks for: its own, as a rule."""
        return "everybody" if self._random.random() < _CONTESTED else name

    def _slices(self, name: str) -> dict[Key, Object]:
        made: dict[Key, Object] = {}
        for family in (4, 6):
            for number in range(self._random.choice((0, 1, 1, 1, 2))):
                one = self._slice(name, family, f"{name}-{family}-{number}")
                made["EndpointSlice", NAMESPACE, one["metadata"]["name"]] = one
        return made

    def _slice(self, service: str, family: int, name: str) -> Object:
        hinted = self._random.choice((None, None, "zones", "nodes", "both"))
        places = self._random.sample(sorted(self._book.places), self._random.randint(0, 4))
        ports = [
            {"name": f"{port}-{protocol.lower()}", "port": self._random.choice(TARGETS), "protocol": protocol}
            for port in PORTS
            for protocol in PROTOCOLS
            if self._random.random() < 0.85
        ]
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": NAMESPACE, "name": name, "labels": {SERVICE_LABEL: service}},
            "addressType": f"IPv{family}",
            "ports": ports,
            "endpoints": [self._endpoint(place, self._book.places[place], family, hinted) for place in places if place in _ANSWERING],
        }

    def _endpoint(self, place: str, address: Pair, family: int, hinted: str | None) -> Object:
        made: Object = {"addresses": [address[family]], "conditions": self._conditions(), "nodeName": self._book.nodes[place]}
        if hinted and self._random.random() < 0.9:
            made["hints"] = self._hints(hinted)
        return made

    def _conditions(self) -> Object:
        return self._random.choice(
            (
                {},
                {"ready": True},
                {"ready": True, "serving": True, "terminating": False},
                {"ready": True, "serving": True, "terminating": False},
                {"ready": False, "serving": True, "terminating": True},
                {"ready": False, "serving": False, "terminating": True},
                {"ready": False, "serving": False, "terminating": False},
                {"ready": False, "serving": True, "terminating": False},
            )
        )

    def _hints(self, hinted: str) -> Object:
        made: dict[str, Any] = {}
        if hinted in ("zones", "both"):
            made["forZones"] = [{"name": zone} for zone in self._random.sample(sorted(ZONES.values()), self._random.randint(1, 2))]
        if hinted in ("nodes", "both"):
            made["forNodes"] = [{"name": self._random.choice((NODE_NAME, NODE2_NAME))}]
        return made


_ANSWERING = ("near1", "near2", "far1", "far2", "host", "host2")


def _is_slice_of(one: Object, service: str) -> bool:
    return bool(one["kind"] == "EndpointSlice" and one["metadata"]["labels"][SERVICE_LABEL] == service)
