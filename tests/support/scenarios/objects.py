"""From the objects of a scenario to objects of the API: names become addresses, one EndpointSlice becomes one per family.

Besides the names it does what the API server does when a field is left out: it allocates cluster IPs and node ports.
"""

from __future__ import annotations

import copy
import ipaddress
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.netns.topology import Pair
from tests.support.scenarios.book import NETNS, Book
from tests.support.scenarios.scenario import Object, Scenario, ScenarioError

PROTOCOLS = ("TCP", "UDP", "SCTP")
SERVICE_LABEL = "kubernetes.io/service-name"
FIRST_ADDRESS = 20
"""Behind those that an API server and its DNS have, inside of the part of a range that is never given out unasked (KEP-3070)."""
NODE_PORTS = range(30100, 32700)

Key = tuple[str, str, str]
"""Kind, namespace, name."""


class Allocator:
    """Addresses and node ports that no other scenario has, the same in every run."""

    def __init__(self, book: Book = NETNS) -> None:
        self._cluster = _pairs(book.service_cidr)
        self._public = _pairs(book.public_cidr)
        self._ports = iter(NODE_PORTS)
        self._given: dict[tuple[str, ...], Any] = {}

    def cluster_ip(self, *owner: str) -> Pair:
        return self._once(("cluster", *owner), self._cluster)  # type: ignore[no-any-return]

    def public(self, *owner: str) -> Pair:
        return self._once(("public", *owner), self._public)  # type: ignore[no-any-return]

    def node_port(self, *owner: str) -> int:
        return self._once(("port", *owner), self._ports)  # type: ignore[no-any-return]

    def _once(self, key: tuple[str, ...], source: Iterator[Any]) -> Any:
        if key not in self._given:
            self._given[key] = next(source)
        return self._given[key]


def sentinel_addresses(book: Book, count: int) -> list[Pair]:
    """Cluster IPs that no scenario gets."""
    return list(itertools.islice(_pairs(book.service_cidr, FIRST_ADDRESS - count), count))


def _pairs(cidr: Pair, first: int = FIRST_ADDRESS) -> Iterator[Pair]:
    """Address pairs of a range."""
    hosts = zip(ipaddress.ip_network(cidr.v4).hosts(), ipaddress.ip_network(cidr.v6).hosts(), strict=False)
    return (Pair(str(v4), str(v6)) for v4, v6 in itertools.islice(hosts, first, None))


class Story:
    """The objects of one scenario, step by step."""

    def __init__(self, scenario: Scenario, allocator: Allocator, book: Book = NETNS) -> None:
        self._namespace = scenario.id
        self._book = book
        self._allocator = allocator
        self._written: dict[tuple[str, str], Object] = {}
        self._made: dict[tuple[str, str], list[Object]] = {}
        """What the API has of each of them."""
        self._addressed: dict[str, Object] = {}
        self._is_noted = False
        self._steps = iter(scenario.steps)

    def advance(self) -> None:
        """Go to the next step; nothing changes after the last."""
        step = next(self._steps, None)
        if step is None:
            return
        self._is_noted = False
        for change in step.apply:
            key = (change["kind"], change["metadata"]["name"])
            self._written[key] = merged(self._written.get(key, {}), change)
        for name in step.delete:
            kind, _, object_name = name.partition("/")
            del self._written[kind, object_name]
        changed = {(change["kind"], change["metadata"]["name"]) for change in step.apply}
        self._made = {key: list(self._expanded(written)) if key in changed else self._made[key] for key, written in self._written.items()}

    def objects(self) -> dict[Key, Object]:
        """The objects as the API has them; one that a step leaves alone is the same value before and after, for nobody to change."""
        made = itertools.chain.from_iterable(self._made.values())
        return {(one["kind"], self._namespace, one["metadata"]["name"]): one for one in made}

    def service(self, name: str) -> Object:
        """The only Service, or the one of that name, as it was when it last had an address."""
        if not self._is_noted:
            self._note_addressed()
        if not name and len(self._addressed) == 1:
            return next(iter(self._addressed.values()))
        try:
            return self._addressed[name]
        except KeyError:
            raise ScenarioError(f"{self._namespace} has {len(self._addressed)} Services, none of them is {name!r}") from None

    def _note_addressed(self) -> None:
        self._is_noted = True
        self._addressed |= {
            one["metadata"]["name"]: one
            for (kind, _, _), one in self.objects().items()
            if kind == "Service" and "clusterIPs" in one["spec"]
        }

    def _expanded(self, written: Object) -> Iterator[Object]:
        made = copy.deepcopy(written)
        made["metadata"].setdefault("namespace", self._namespace)
        match made["kind"]:
            case "Service":
                yield self._service(made)
            case "EndpointSlice" if "addressType" in made:
                yield self._slice(made)
            case "EndpointSlice":
                yield self._slice(_of_family(made, 4))
                yield self._slice(_of_family(made, 6))
            case kind:
                raise ScenarioError(f"{self._namespace}: no scenario has objects of kind {kind}")

    def _service(self, made: Object) -> Object:
        made["apiVersion"] = "v1"
        name, spec = made["metadata"]["name"], made["spec"]
        spec["ports"] = _each_protocol(spec.get("ports", []))
        if spec.get("type") == "ExternalName":
            return made
        if spec.get("clusterIP") != "None":
            self._allocate_addresses(name, spec)
        if spec.get("type", "ClusterIP") in ("NodePort", "LoadBalancer"):
            for port in spec["ports"]:
                port.setdefault("nodePort", self._allocator.node_port(self._namespace, name, str(port["port"])))
        if spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
            # Else the API server picks any free node port, maybe one that another Service is about to ask for.
            spec.setdefault("healthCheckNodePort", self._allocator.node_port(self._namespace, name, "health check"))
        if "externalIPs" in spec:
            spec["externalIPs"] = [address for word in spec["externalIPs"] for address in self._public(word)]
        self._fill_ingress(made)
        return made

    def _allocate_addresses(self, name: str, spec: Object) -> None:
        families = spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        spec.setdefault("ipFamilyPolicy", "RequireDualStack" if len(families) > 1 else "SingleStack")
        pair = self._allocator.cluster_ip(self._namespace, name)
        spec["clusterIPs"] = [pair[_number(family)] for family in families]
        spec["clusterIP"] = spec["clusterIPs"][0]

    def _fill_ingress(self, made: Object) -> None:
        balancer = made.get("status", {}).get("loadBalancer", {})
        if ingress := balancer.get("ingress"):
            balancer["ingress"] = [{**entry, "ip": address} for entry in ingress for address in self._public(entry["ip"])]

    def _slice(self, made: Object) -> Object:
        made["apiVersion"] = "discovery.k8s.io/v1"
        made["ports"] = _each_protocol(made.get("ports", []))
        for endpoint in made.setdefault("endpoints", []):
            self._place(endpoint, made["addressType"])
        return made

    def _place(self, endpoint: Object, address_type: str) -> None:
        """Turn the name of a place into its address of the slice's family, and say on which node it is."""
        places = endpoint["addresses"]
        if places[0] in self._book.places:
            endpoint.setdefault("nodeName", self._book.nodes[places[0]])
            endpoint["addresses"] = [self._book.places[place][_number(address_type)] for place in places]

    def _public(self, word: str) -> tuple[str, ...]:
        return self._allocator.public(self._namespace, word).both


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch: mappings are merged, everything else is replaced, null takes a key away."""
    result = dict(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _of_family(slice_: Object, family: int) -> Object:
    made = copy.deepcopy(slice_)
    made["metadata"]["name"] += f"-{family}"
    made["addressType"] = f"IPv{family}"
    return made


def _number(family: str) -> int:
    return int(family.removeprefix("IPv"))


def _each_protocol(ports: list[Object]) -> list[Object]:
    """A port with `protocol: each` is three: one per protocol, its name with the protocol behind it."""
    return [
        {**port, "protocol": protocol, "name": f"{port['name']}-{protocol.lower()}"} if port.get("protocol") == "each" else port
        for port in ports
        for protocol in (PROTOCOLS if port.get("protocol") == "each" else ("",))
    ]
