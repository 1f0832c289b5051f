"""What has to become of a flow, computed straight from the API's objects by kube-proxy's decision table: a second opinion on the agent.

Written from the reference alone (section 3 and the rows of its table), sharing nothing with `ingest`, `select` or any mode. It asks
one question at a time and is slow; it knows what every mode has in common, and the few things in which `Habits` differ.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from tests.support.netns.probe import DROP, REJECT
from tests.support.netns.topology import NODE, NODE_NAME, POD_CIDR, SERVICE_CIDR
from tests.support.scenarios.configs import CLUSTER_CIDR, POD_INTERFACE, Config
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import BEYOND, Object
from tests.support.simulator.cases import ON_THE_NODE, Flow
from tests.support.simulator.node import NetnsNode, is_loopback, packed

KEPT, MASQUERADED = "kept", "masqueraded"
Expected = dict[str, Fraction]
"""`near1:8080 kept`, `REJECT`, `DROP` or `beyond`, and how large a part of the connections gets it."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What modes do differently (reference 6.5)."""

    rejects_unknown_ports: bool
    """Of a ClusterIP. Else such a packet goes on as if there were no proxy."""
    drops_unallocated: bool
    """Addresses of the Service network that no Service has."""
    firewall_without_endpoints: bool
    """Source ranges are looked at first, so who is not admitted is not told that there are no endpoints."""
    masquerades_cluster_addresses: bool
    """Whatever comes to an address that is a ClusterIP, also as another Service's external address."""
    serves_localhost: bool = False
    refuses_the_node: bool = True
    """Processes of the node are refused as well where an external address has no endpoints. Else it is as if there were no proxy."""
    refuses_on_every_address: bool = False
    """A NodePort that external traffic is refused on is refused on local addresses that serve no NodePorts, too."""
    proxied: bool = False
    """A process of the node makes the connections to endpoints; it has no SCTP, and NodePorts on loopback addresses of both families."""


@dataclass(frozen=True, slots=True)
class Backend:
    """An endpoint of a Service port, with what the table asks for."""

    address: str
    port: int
    ready: bool
    draining: bool
    local: bool
    zones: frozenset[str]
    nodes: frozenset[str]


class Oracle:
    """One state of a cluster, on the node under test."""

    def __init__(self, objects: Mapping[Key, Object], config: Config, habits: Habits, zone: str = "zone-a") -> None:
        self._services = [one for one in objects.values() if one["kind"] == "Service" and _is_served(one)]
        self._slices = sorted(
            (one for one in objects.values() if one["kind"] == "EndpointSlice"), key=lambda one: str(one["metadata"]["name"])
        )
        self._config, self._habits, self._zone = config, habits, zone
        self._node = NetnsNode()

    def expects(self, flow: Flow) -> Expected:
        asked = ((service, port, self._kind(service, port, flow)) for service, port in self._ports(flow))
        if claims := [(service, port, kind) for service, port, kind in asked if kind]:
            return self._served(*min(claims, key=lambda claim: (claim[2] != "internal", *_age(claim[0]))), flow)
        return {self._refused(flow) or self._unserved(flow): Fraction(1)}

    def _ports(self, flow: Flow) -> Iterator[tuple[Object, Object]]:
        """Every Service port of the flow's family and protocol."""
        family = "IPv6" if ":" in flow.address else "IPv4"
        for service in self._services:
            if family in service["spec"]["ipFamilies"]:
                yield from ((service, port) for port in service["spec"]["ports"] if port["protocol"] == flow.protocol)

    def _kind(self, service: Object, port: Object, flow: Flow) -> str:
        """Which of the Service port's addresses is asked: internal, external, balancer; empty: none."""
        spec = service["spec"]
        if flow.port == port["port"]:
            if flow.address in spec["clusterIPs"]:
                return "internal"
            if flow.address in _vips(service):
                return "balancer"
            if flow.address in spec.get("externalIPs", ()):
                return "external"
        return "external" if flow.port == port.get("nodePort") and self._serves_node_ports(flow.address) else ""

    def _serves_node_ports(self, address: str) -> bool:
        if not self._node.is_local(packed(address)):
            return False
        chosen = self._config.node_port_addresses
        if is_loopback(packed(address)) and not (self._serves_loopback() if self._habits.proxied else self._serves_localhost(address)):
            return False
        if chosen == ("primary",):
            return address in NODE.both
        of_family = [network for network in chosen if (":" in network) == (":" in address)]
        return not of_family or any(_in(address, network) for network in of_family)

    def _serves_localhost(self, address: str) -> bool:
        return self._habits.serves_localhost and self._config.localhost_node_ports and ":" not in address

    def _serves_loopback(self) -> bool:
        chosen = self._config.node_port_addresses
        return not chosen or any(network.startswith(("127.", "::1/", "0.0.0.0/0", "::/0")) for network in chosen)

    def _served(self, service: Object, port: Object, kind: str, flow: Flow) -> Expected:
        backends = list(self._backends(service, port, flow))
        cluster, local = self._cluster(backends), _usable([each for each in backends if each.local])
        internal = service["spec"].get("internalTrafficPolicy") == "Local"
        external = service["spec"].get("externalTrafficPolicy") == "Local" and _is_external(service)
        anywhere = cluster if not (internal or external) else _usable(backends)
        if kind == "balancer" and not self._admits(service, flow) and (anywhere or self._habits.firewall_without_endpoints):
            return {DROP: Fraction(1)}
        if not anywhere:
            passes = kind != "internal" and flow.client in ON_THE_NODE and not self._habits.refuses_the_node
            return {self._unserved(flow) if passes else REJECT: Fraction(1)}
        if kind == "internal":
            chosen, masquerade = (local if internal else cluster), self._masquerades_internal(flow)
        elif not external:
            chosen, masquerade = cluster, True
        elif self._is_pod(flow):
            chosen, masquerade = cluster, False
        elif flow.client in ON_THE_NODE:
            chosen, masquerade = cluster, True
        else:
            chosen, masquerade = local, False
        if self._habits.masquerades_cluster_addresses and self._is_cluster_ip(flow):
            masquerade = masquerade or self._masquerades_internal(flow)
        if not chosen:
            return {DROP: Fraction(1)}
        found: Expected = {}
        for each in chosen:
            answer = self._reached(each, masquerade=masquerade, flow=flow)
            found[answer] = found.get(answer, Fraction(0)) + Fraction(1, len(chosen))
        return found

    def _refused(self, flow: Flow) -> str:
        """By the NodePort of a Service that does not serve it on this address."""
        if not self._habits.refuses_on_every_address or not self._node.is_local(packed(flow.address)):
            return ""
        owners = [(service, port) for service, port in self._ports(flow) if port.get("nodePort") == flow.port]
        return self._refuses(*min(owners, key=lambda owner: _age(owner[0])), flow) if owners else ""

    def _refuses(self, service: Object, port: Object, flow: Flow) -> str:
        """What happens to external traffic that nothing short-circuits, if it has no endpoints."""
        backends = list(self._backends(service, port, flow))
        if service["spec"].get("externalTrafficPolicy") == "Local":
            local = _usable([each for each in backends if each.local])
            return "" if local else DROP if _usable(backends) else REJECT
        return "" if self._cluster(backends) else REJECT

    def _reached(self, backend: Backend, *, masquerade: bool, flow: Flow) -> str:
        """Also a client that reaches itself is masqueraded, but nobody is who comes to the node itself; of the node's own addresses only a
        loopback one tells. A server of the client's own node, if that is another one, answers past this one."""
        own, target = packed(flow.own), packed(backend.address)
        if self._habits.proxied:
            kept = self._node.source_towards(target) == own
            return f"{self._node.server_at(target, backend.port)}:{backend.port} {KEPT if kept else MASQUERADED}"
        masquerade = (masquerade or own == target) and (is_loopback(own) or not self._node.is_local(target))
        if not masquerade and flow.client not in ON_THE_NODE and self._node.answers_past(own, target):
            return DROP
        return f"{self._node.server_at(target, backend.port)}:{backend.port} {MASQUERADED if masquerade else KEPT}"

    def _unserved(self, flow: Flow) -> str:
        """What happens to a packet that no Service port is asked by."""
        address = packed(flow.address)
        if name := self._node.server_at(address, flow.port):
            return f"{name}:{flow.port} {KEPT}"
        if self._node.is_local(address):
            return REJECT
        if self._habits.rejects_unknown_ports and self._is_cluster_ip(flow):
            return REJECT
        if self._habits.drops_unallocated and any(_in(flow.address, cidr) for cidr in SERVICE_CIDR.both):
            return DROP
        return BEYOND

    def _is_cluster_ip(self, flow: Flow) -> bool:
        return any(flow.address in service["spec"]["clusterIPs"] for service in self._services)

    def _backends(self, service: Object, port: Object, flow: Flow) -> Iterator[Backend]:
        found: dict[tuple[str, int], Object] = {}
        if self._habits.proxied and port["protocol"] == "SCTP":
            return
        for one in self._slices:
            if one["metadata"]["labels"][SERVICE_LABEL] != service["metadata"]["name"]:
                continue
            if one["addressType"] != ("IPv6" if ":" in flow.address else "IPv4"):
                continue
            for target in one["ports"]:
                if (target["name"], target["protocol"]) != (port["name"], port["protocol"]):
                    continue
                for endpoint in one["endpoints"]:
                    key = endpoint["addresses"][0], target["port"]
                    if key not in found or not endpoint["conditions"].get("terminating"):
                        found[key] = endpoint
        for (address, number), endpoint in found.items():
            conditions, hints = endpoint["conditions"], endpoint.get("hints", {})
            ready = conditions.get("ready", True)
            yield Backend(
                address=address,
                port=number,
                ready=ready,
                draining=not ready and conditions.get("serving", True) and conditions.get("terminating", False),
                local=endpoint.get("nodeName") == NODE_NAME,
                zones=frozenset(zone["name"] for zone in hints.get("forZones", ())),
                nodes=frozenset(node["name"] for node in hints.get("forNodes", ())),
            )

    def _cluster(self, backends: list[Backend]) -> list[Backend]:
        ready = [each for each in backends if each.ready]
        if not ready:
            return _usable(backends)
        if all(each.nodes for each in ready) and any(NODE_NAME in each.nodes for each in ready):
            return [each for each in ready if NODE_NAME in each.nodes]
        if self._zone and all(each.zones for each in ready) and any(self._zone in each.zones for each in ready):
            return [each for each in ready if self._zone in each.zones]
        return ready

    def _admits(self, service: Object, flow: Flow) -> bool:
        """The node may come with the address itself, if a range holds the node; here no interface has such an address."""
        ranges = [text.strip() for text in service["spec"].get("loadBalancerSourceRanges", ())]
        if not ranges or any(text.endswith("/0") for text in ranges):
            return True
        of_family = [text for text in ranges if (":" in text) == (":" in flow.address)]
        return not of_family or any(_in(self._source(flow), text) for text in of_family)

    def _source(self, flow: Flow) -> str:
        if flow.client not in ON_THE_NODE:
            return flow.own
        return str(ipaddress.ip_address(self._node.source_towards(packed(flow.address))))

    def _masquerades_internal(self, flow: Flow) -> bool:
        return self._config.masquerade_all or (bool(self._config.detect) and not self._is_pod(flow))

    def _is_pod(self, flow: Flow) -> bool:
        """Whether the configuration tells the client to be a pod of this node."""
        device = "" if flow.client in ON_THE_NODE else self._node.device_from(packed(flow.own))
        match self._config.detect:
            case "NodeCIDR":
                return any(_in(self._source(flow), cidr) for cidr in POD_CIDR.both)
            case "ClusterCIDR":
                return any(_in(self._source(flow), cidr) for cidr in CLUSTER_CIDR.both)
            case "InterfaceNamePrefix":
                return device.startswith("veth-")
            case "BridgeInterface":
                return device == POD_INTERFACE
            case _:
                return False


def _usable(backends: list[Backend]) -> list[Backend]:
    """The ready ones; if there are none, those that drain."""
    return [each for each in backends if each.ready] or [each for each in backends if each.draining]


def _age(service: Object) -> tuple[str, str]:
    """Of Services that claim the same the older one has it; of those that are as old, the one whose name comes first."""
    return service["metadata"]["creationTimestamp"], service["metadata"]["name"]


def _is_served(service: Object) -> bool:
    labels = service["metadata"].get("labels", {})
    return "service.kubernetes.io/service-proxy-name" not in labels and service["spec"].get("clusterIP") != "None"


def _is_external(service: Object) -> bool:
    return service["spec"]["type"] != "ClusterIP" or bool(service["spec"].get("externalIPs"))


def _vips(service: Object) -> list[str]:
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    return [entry["ip"] for entry in ingress if entry.get("ipMode", "VIP") == "VIP"]


def _in(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
