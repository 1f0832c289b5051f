"""Services and EndpointSlices of the whole shape that the API server's validation accepts, from a small world so that they meet.

Drawn from random numbers, not from strategies: an object has some fifty choices, and to draw them took ten times as long as what is
tested with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from tests.support.scenarios.scenario import Object

T = TypeVar("T")
NAMESPACES, NAMES = ("shop", "x" * 63), ("a", "b", "c-" + "y" * 61)
CLUSTER_IPS = {"IPv4": ("10.96.0.1", "10.96.0.2", "010.096.000.003"), "IPv6": ("fd00:10:96::1", "fd00:10:96::2", "FD00:10:96::0:3")}
PUBLIC = ("192.0.2.1", "192.0.2.2", "10.96.0.2", "192.000.002.1", "2001:db8::1", "::ffff:192.0.2.1", "fd00:10:96::2", "192.168.50.1")
RANGES = (
    "10.0.0.0/8",
    " 10.1.0.0/16",
    "10.1.2.3/16",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "192.168.50.1/32",
    "255.255.255.255/32",
    "::ffff:10.0.0.0/104",
)
ENDPOINTS = {"IPv4": ("10.244.0.1", "10.244.1.1", "010.244.1.2"), "IPv6": ("fd00:244::1", "FD00:244::2"), "FQDN": ("web.example",)}
PORT_NAMES = ("", "http", "p-345678901234x")
PROTOCOLS = ("TCP", "UDP", "SCTP")
NODES, ZONES = ("here", "there", "n" * 253), ("a", "b", "z" * 63)
PORTS = (1, 80, 443, 65535)
TIMES = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "0001-01-01T00:00:00Z")
AFFINITY_CONFIGS: tuple[Object | None, ...] = (
    None,
    {"clientIP": {"timeoutSeconds": 86400}},
    {"clientIP": {"timeoutSeconds": 1}},
    {"clientIP": {}},
)
FLAGS = (None, True, False)


class Whole:
    """A source of objects. The same seed makes the same ones."""

    def __init__(self, random: Random) -> None:
        self._random, self._one_of = random, random.choice

    def several(self, at_most: int, at_least: int = 0) -> list[Object]:
        """Services and slices."""
        return [self._one_of((self.service, self.slice))() for _ in range(self._random.randint(at_least, at_most))]

    def service(self) -> Object:
        kind = self._one_of(("ClusterIP", "NodePort", "LoadBalancer", "ExternalName", None))
        families = self._one_of((("IPv4",), ("IPv6",), ("IPv4", "IPv6"), ("IPv6", "IPv4")))
        cluster_ips = ["None"] if self._once_in(10) else [self._one_of(CLUSTER_IPS[family]) for family in families]
        labels = self._one_of((None, None, None, {}, {"service.kubernetes.io/service-proxy-name": ""}))
        spec: Object = {
            "type": kind,
            "clusterIP": cluster_ips[0],
            "clusterIPs": self._one_of((cluster_ips, None)),
            "ports": None if self._once_in(4) else self._ports(node_ports=kind in ("NodePort", "LoadBalancer")),
            "externalIPs": self._some(PUBLIC),
            "loadBalancerSourceRanges": self._some(RANGES, 9),
            "internalTrafficPolicy": self._one_of((None, "Cluster", "Local")),
            "externalTrafficPolicy": self._one_of((None, "Cluster", "Local")),
            "healthCheckNodePort": self._one_of((None, 0, 30009)),
            "sessionAffinity": self._one_of((None, "None", "ClientIP")),
            "sessionAffinityConfig": self._one_of(AFFINITY_CONFIGS),
            "publishNotReadyAddresses": self._one_of(FLAGS),
            "trafficDistribution": self._one_of((None, "PreferClose", "PreferSameNode")),
        }
        name, namespace = self._one_of(NAMES), self._one_of(NAMESPACES)
        metadata = _without_none(
            {
                "name": name,
                "namespace": namespace,
                "uid": f"{namespace}/{name}",
                "labels": labels,
                "creationTimestamp": self._one_of(TIMES),
            }
        )
        ingress = [self._ingress(address) for address in self._some((*PUBLIC, None, ""))]
        return {"kind": "Service", "metadata": metadata, "spec": _without_none(spec), "status": {"loadBalancer": {"ingress": ingress}}}

    def slice(self) -> Object:
        kind = self._one_of(("IPv4", "IPv4", "IPv6", "FQDN"))
        labels = {"kubernetes.io/service-name": self._one_of((*NAMES, "", "unknown"))}
        if self._once_in(10):
            labels["service.kubernetes.io/headless"] = ""
        trigger = self._one_of((None, "2026-01-01T00:00:00Z", "not a time", "9999-12-31T23:59:59.999999999+14:00"))
        metadata: Object = {"name": self._one_of(("s1", "s2", "s3")), "namespace": self._one_of(NAMESPACES), "labels": labels}
        if trigger:
            metadata["annotations"] = {"endpoints.kubernetes.io/last-change-trigger-time": trigger}
        ports = self._list(self._slice_port, 3)
        return {
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": kind,
            "endpoints": self._list(lambda: self._endpoint(kind), 4),
            "ports": self._one_of((ports, None)),
        }

    def _ingress(self, address: str | None) -> Object:
        return _without_none({"ip": address, "hostname": "lb.example", "ipMode": self._one_of((None, "VIP", "Proxy"))})

    def _ports(self, *, node_ports: bool) -> list[Object]:
        """Unique by name and by number and protocol, as validation wants it."""
        drawn = self._list(lambda: self._service_port(node_ports=node_ports), 3)
        return [
            port
            for at, port in enumerate(drawn)
            if not any(port["name"] == other["name"] or _socket(port) == _socket(other) for other in drawn[:at])
        ]

    def _service_port(self, *, node_ports: bool) -> Object:
        one = {"name": self._one_of(PORT_NAMES), "protocol": self._one_of(PROTOCOLS), "port": self._one_of(PORTS)}
        optional = self._optional(
            appProtocol=lambda: "kubernetes.io/h2c",
            targetPort=lambda: self._one_of((8080, "web")),
            nodePort=lambda: self._one_of((0, 30001, 30002)),
        )
        return one | {name: value for name, value in optional.items() if node_ports or name != "nodePort"}

    def _slice_port(self) -> Object:
        return self._optional(
            name=lambda: self._one_of((None, *PORT_NAMES)),
            protocol=lambda: self._one_of((None, *PROTOCOLS)),
            port=lambda: self._one_of((None, *PORTS)),
        )

    def _endpoint(self, kind: str) -> Object:
        return {"addresses": self._some(ENDPOINTS[kind], 2, at_least=1)} | self._optional(
            conditions=lambda: self._optional(**dict.fromkeys(("ready", "serving", "terminating"), lambda: self._one_of(FLAGS))),
            nodeName=lambda: self._one_of(NODES),
            zone=lambda: self._one_of(ZONES),
            hints=lambda: self._optional(forZones=lambda: self._named(ZONES), forNodes=lambda: self._named(NODES)),
        )

    def _named(self, names: Sequence[str]) -> list[Object]:
        return [{"name": name} for name in self._some(names, 2)]

    def _optional(self, **fields: Callable[[], Any]) -> Object:
        return {name: make() for name, make in fields.items() if self._once_in(2)}

    def _some(self, of: Sequence[T], at_most: int = 3, at_least: int = 0) -> list[T]:
        return self._list(lambda: self._one_of(of), at_most, at_least)

    def _list(self, make: Callable[[], T], at_most: int, at_least: int = 0) -> list[T]:
        return [make() for _ in range(self._random.randint(at_least, at_most))]

    def _once_in(self, times: int) -> bool:
        return self._random.randrange(times) == 0


def _without_none(fields: Object) -> Object:
    return {name: value for name, value in fields.items() if value is not None}


def _socket(port: Object) -> tuple[int, str]:
    return port["port"], port["protocol"]
