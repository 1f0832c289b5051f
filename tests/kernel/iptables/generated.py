"""Services and EndpointSlices that use every field that a proxy looks at, and changes of them: drawn from a seed, the same in every run.

A Service is a set of parts (`Draft`), each of which can be drawn anew: that is a change. What is drawn is what an API server takes that
does not yet refuse addresses with leading zeros; such objects are in clusters from before it did.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.netns.topology import NODE2_NAME, NODE_NAME
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

ZONES = ("zone-a", "zone-b")
FAMILIES = ((4, 6), (4, 6), (6, 4), (4,), (6,))
PROTOCOLS = ("TCP", "TCP", "UDP", "SCTP")
OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"
EVERYBODY = ("0.0.0.0/0", "::/0")
RANGES = (
    "198.51.100.0/24",
    " 198.51.100.128/25 ",
    "10.1.2.3/8",
    "192.168.50.0/24",
    "192.168.050.001/32",
    "203.0.113.000/026",
    "2001:db8:7::/48",
    " 2001:db8:7::1/64",
    "fd00:50::/64",
    "fd00:50::1/128",
)
CONDITIONS: tuple[dict[str, bool], ...] = (
    {},
    {"ready": True},
    {"ready": True, "serving": True, "terminating": False},
    {"ready": False},
    {"ready": False, "serving": False},
    {"ready": False, "serving": True, "terminating": True},
    {"ready": False, "serving": False, "terminating": True},
    {"ready": True, "serving": True, "terminating": True},
)


@dataclass(slots=True)
class Draft:
    """The parts of one Service."""

    number: int
    families: tuple[int, ...]
    type: str = "ClusterIP"
    ports: list[Object] = field(default_factory=list)
    exposure: Object = field(default_factory=dict)
    """Fields of the spec that concern external addresses."""
    ingress: list[Object] = field(default_factory=list)
    policies: Object = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    slices: list[Object] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return f"shop-{self.number % 5}"

    @property
    def name(self) -> str:
        return f"service-{self.number:03}"

    @property
    def headless(self) -> bool:
        return self.number % 40 == 38

    @property
    def external(self) -> bool:
        return self.type in ("NodePort", "LoadBalancer") or bool(self.exposure.get("externalIPs"))


class Generator:
    """Draws Services, and goes on drawing. `endpoints` is the most that one slice has."""

    def __init__(self, seed: int, endpoints: int = 3) -> None:
        self._random = random.Random(seed)
        self._endpoints = endpoints
        self._node_ports = iter(range(30000, 32767))
        self._addresses = itertools.count(1)
        self._numbers = itertools.count()
        self._drafts: list[Draft] = []

    def add(self, count: int) -> None:
        """Draw so many more Services."""
        for number in itertools.islice(self._numbers, count):
            draft = Draft(number, self._random.choice(FAMILIES))
            self._drafts.append(draft)
            for part in (self._draw_type, self._draw_ports, self._draw_policies, self._draw_labels, self._draw_slices):
                part(draft)

    def change(self, count: int) -> None:
        """Draw a part of so many Services anew, delete a tenth as many, and add as many as were deleted."""
        parts = (self._draw_type, self._draw_ports, self._rename_ports, self._draw_policies, self._draw_labels, self._draw_slices)
        for draft in self._random.sample(self._drafts, count):
            self._random.choice(parts)(draft)
        for draft in self._random.sample(self._drafts, count // 10):
            self._drafts.remove(draft)
        self.add(count // 10)

    def objects(self) -> dict[Key, Object]:
        """The objects as they are now."""
        made = [one for draft in self._drafts for one in (_service(draft), *draft.slices)]
        return {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): copy.deepcopy(one) for one in made}

    def _draw_type(self, draft: Draft) -> None:
        """Its type, and what else makes it accessible from outside."""
        draft.exposure, draft.ingress = {}, []
        if draft.number % 40 == 39:
            draft.type, draft.exposure = "ExternalName", {"externalName": "shop.example"}
            return
        if draft.headless:
            return
        draft.type = self._random.choice(("ClusterIP", "ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer", "LoadBalancer"))
        if self._maybe(0.25):
            draft.exposure["externalIPs"] = [self._public() for _ in range(self._random.randint(1, 3))]
        if draft.type == "LoadBalancer":
            draft.exposure["allocateLoadBalancerNodePorts"] = self._maybe(0.7)
            draft.ingress = [self._ingress() for _ in range(self._random.randint(0, 4))]
            if self._maybe(0.5):
                draft.exposure["loadBalancerSourceRanges"] = self._random.sample(RANGES, self._random.randint(1, 4))
                draft.exposure["loadBalancerSourceRanges"] += [one for one in EVERYBODY if self._maybe(0.1)]

    def _ingress(self) -> Object:
        if self._maybe(0.1):
            return {"hostname": "balancer.example"}
        mode = self._random.choice(("", "VIP", "Proxy"))
        return {"ip": self._public(), **({"ipMode": mode} if mode else {})}

    def _public(self) -> str:
        """A public address that nobody has yet; IPv4 ones may have leading zeros."""
        number = next(self._addresses)
        if self._maybe(0.4):
            return f"2001:db8:e::{number:x}"
        form = "203.0.{:03}.{:03}" if self._maybe(0.2) else "203.0.{}.{}"
        return form.format(number // 250, 1 + number % 250)

    def _draw_ports(self, draft: Draft) -> None:
        count = self._random.choice((1, 1, 1, 2, 3, 4))
        numbers = self._random.sample(range(1, 65536), count)
        draft.ports = [
            {"name": f"port-{index}" if count > 1 else self._random.choice(("", "web")), "port": number, "protocol": protocol}
            for index, (number, protocol) in enumerate(zip(numbers, self._random.choices(PROTOCOLS, k=count), strict=True))
        ]
        if count > 1 and self._maybe(0.3):  # like DNS: one number, two protocols
            draft.ports[0] |= {"port": 53, "protocol": "TCP"}
            draft.ports[1] |= {"port": 53, "protocol": "UDP"}
        for port in draft.ports:
            port["nodePort"] = next(self._node_ports)
        draft.slices = [slice_ for family in (4, 6) for slice_ in self._slices(draft, family)]

    def _rename_ports(self, draft: Draft) -> None:
        """The Service's ports have other names than their endpoints, of some at least."""
        for index, port in enumerate(draft.ports):
            if self._maybe(0.5):
                port["name"] = f"renamed-{index}"
            port["name"] = port["name"] or "web"

    def _draw_policies(self, draft: Draft) -> None:
        draft.policies = {
            "internalTrafficPolicy": self._random.choice(("Cluster", "Cluster", "Local")),
            "externalTrafficPolicy": self._random.choice(("Cluster", "Local")),
            "publishNotReadyAddresses": self._maybe(0.1),
            "healthCheckNodePort": draft.policies.get("healthCheckNodePort") or next(self._node_ports),
        }
        if self._maybe(0.3):
            seconds = self._random.choice((1, 10, 10800, 86400))
            draft.policies |= {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}

    def _draw_labels(self, draft: Draft) -> None:
        draft.labels = {OTHER_PROXY: "another"} if self._maybe(0.05) else {}

    def _draw_slices(self, draft: Draft) -> None:
        draft.slices = [slice_ for family in (4, 6) for slice_ in self._slices(draft, family)]

    def _slices(self, draft: Draft, family: int) -> Iterator[Object]:
        """None, one, or several; an endpoint may be in several. Now and then one that is of no use."""
        hinted = self._random.choice(("", "", "zones", "nodes", "some"))
        pool = [self._endpoint(family, hinted) for _ in range(self._endpoints + 1)]
        for index in range(self._random.choice((0, 1, 1, 1, 2))):
            endpoints = self._random.sample(pool, self._random.randint(0, self._endpoints))
            yield self._slice(draft, f"{draft.name}-{family}-{index}", f"IPv{family}", endpoints)
        if family == 4 and self._maybe(0.05):
            yield self._slice(draft, f"{draft.name}-fqdn", "FQDN", [{"addresses": ["pod.example"]}])

    def _slice(self, draft: Draft, name: str, kind: str, endpoints: list[Object]) -> Object:
        labels = {SERVICE_LABEL: draft.name, **({HEADLESS: ""} if self._maybe(0.03) else {})}
        ports: list[Object] = [
            {
                "name": port["name"],
                "protocol": port["protocol"] if self._maybe(0.95) else "UDP",
                **({"port": self._random.randint(1, 65535)} if self._maybe(0.95) else {}),
            }
            for port in draft.ports
            if self._maybe(0.9)
        ]
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": draft.namespace, "name": name, "labels": labels},
            "addressType": kind,
            "ports": ports,
            "endpoints": endpoints,
        }

    def _endpoint(self, family: int, hinted: str) -> Object:
        node = self._random.choice((NODE_NAME, NODE2_NAME, "node-three", ""))
        # Few addresses: that one stands behind several Services is the rule.
        host = self._random.randint(1, 120)
        address = f"10.244.{self._random.randint(0, 2)}.{host}" if family == 4 else f"fd00:244:{self._random.randint(1, 3)}::{host:x}"
        if family == 4 and self._maybe(0.05):
            address = address.replace("10.", "010.", 1)
        hints: Object = {}
        if hinted == "zones" or (hinted == "some" and self._maybe(0.5)):
            hints["forZones"] = [{"name": self._random.choice(ZONES)}]
        if hinted == "nodes" or (hinted == "some" and self._maybe(0.5)):
            hints["forNodes"] = [{"name": self._random.choice((NODE_NAME, NODE2_NAME))}]
        return {
            "addresses": [address],
            "conditions": self._random.choice(CONDITIONS),
            **({"nodeName": node} if node else {}),
            **({"hints": hints} if hints else {}),
        }

    def _maybe(self, chance: float) -> bool:
        return self._random.random() < chance


def _service(draft: Draft) -> Object:
    metadata = {"namespace": draft.namespace, "name": draft.name, "labels": draft.labels}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": _spec(draft)}
    return made | ({"status": {"loadBalancer": {"ingress": draft.ingress}}} if draft.type == "LoadBalancer" else {})


def _spec(draft: Draft) -> Object:
    node_ports = draft.type == "NodePort" or (draft.type == "LoadBalancer" and draft.exposure["allocateLoadBalancerNodePorts"])
    spec: Object = {"type": draft.type, **draft.exposure, "ports": [dict(port) for port in draft.ports]}
    for port in spec["ports"]:
        if not node_ports:
            del port["nodePort"]
    if draft.type == "ExternalName":
        return spec
    policies = dict(draft.policies)
    if not draft.external:
        del policies["externalTrafficPolicy"]
    if draft.type != "LoadBalancer" or policies["externalTrafficPolicy"] != "Local":
        del policies["healthCheckNodePort"]
    return spec | policies | _cluster_ips(draft)


def _cluster_ips(draft: Draft) -> Object:
    if draft.headless:
        return {"clusterIP": "None"}
    by_family = {4: f"10.96.{4 + draft.number // 250}.{1 + draft.number % 250}", 6: f"fd00:10:96::{0x1000 + draft.number:x}"}
    addresses = [by_family[family] for family in draft.families]
    return {
        "clusterIP": addresses[0],
        "clusterIPs": addresses,
        "ipFamilies": [f"IPv{family}" for family in draft.families],
        "ipFamilyPolicy": "RequireDualStack" if len(addresses) == 2 else "SingleStack",
    }
