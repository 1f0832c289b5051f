"""A UDP Service on the node under test, clients of it that never change their port, and the flows that the node tracks for them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kernel.traffic.inprocess import dataplane, empty
from tests.support.netns.namespace import Namespace
from tests.support.netns.topology import NODE, NODE_NAME, PODS, Pair, Topology
from tests.support.polling import eventually
from tests.support.scenarios.book import NETNS
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

from proxyconfig_agent.dataplane.iptables.mode import ROUTE_LOCALNET
from proxyconfig_agent.dataplane.port import Change, Dataplane, ModeInstance, Outcome, Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.addresses import rtnetlink
from proxyconfig_agent.node.conntrack import ctnetlink
from proxyconfig_agent.node.conntrack.cleaner import ConntrackCleaner
from proxyconfig_agent.node.conntrack.stale import Flow, Lookup, Stale
from proxyconfig_agent.select.frontends import Frontends

NAMESPACE = "udp"
PORT, NODE_PORT = 5300, 32753
CLUSTER_IP, EXTERNAL_IP, VIP = (
    Pair("10.96.0.200", "fd00:10:96::c8"),
    Pair("192.168.60.200", "fd00:60::c8"),
    Pair("192.168.60.201", "fd00:60::c9"),
)


@dataclass(frozen=True)
class Endpoint:
    """A place of the topology, in some condition."""

    place: str
    conditions: Mapping[str, bool] = field(default_factory=dict)


def ready(*places: str) -> list[Endpoint]:
    return [Endpoint(place) for place in places]


def service(endpoints: Sequence[Endpoint] = (), *, name: str = "dns", target: int = 8080, **spec: Any) -> dict[Key, Object]:
    """A Service with a UDP port in both families, and its slices; `spec` adds to it."""
    spec = {
        "clusterIP": CLUSTER_IP.v4,
        "clusterIPs": list(CLUSTER_IP.both),
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [{"name": "dns", "protocol": "UDP", "port": PORT, "targetPort": target}],
        **spec,
    }
    metadata = {"namespace": NAMESPACE, "name": name}
    objects: dict[Key, Object] = {("Service", NAMESPACE, name): {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}}
    for family in (4, 6):
        objects["EndpointSlice", NAMESPACE, f"{name}-{family}"] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": NAMESPACE, "name": f"{name}-{family}", "labels": {SERVICE_LABEL: name}},
            "addressType": f"IPv{family}",
            "ports": [{"name": "dns", "port": target, "protocol": "UDP"}],
            "endpoints": [
                {
                    "addresses": [NETNS.places[endpoint.place][family]],
                    "nodeName": NETNS.nodes.get(endpoint.place, NODE_NAME),
                    "conditions": dict(endpoint.conditions),
                }
                for endpoint in endpoints
            ],
        }
    return objects


def exposed(endpoints: Sequence[Endpoint] = (), **more: Any) -> dict[Key, Object]:
    """The same, as a LoadBalancer with a VIP, an externalIP and a node port."""
    target = more.get("target", 8080)
    ports = [{"name": "dns", "protocol": "UDP", "port": PORT, "targetPort": target, "nodePort": NODE_PORT}]
    spec: dict[str, Any] = {
        "type": "LoadBalancer",
        "externalIPs": list(EXTERNAL_IP.both),
        "allocateLoadBalancerNodePorts": True,
        "ports": ports,
    }
    objects = service(endpoints, **spec, **more)
    objects["Service", NAMESPACE, more.get("name", "dns")]["status"] = {"loadBalancer": {"ingress": [{"ip": each} for each in VIP.both]}}
    return objects


class Client:
    """A UDP client with one socket: all that it sends is one flow."""

    def __init__(self, space: Namespace, address: str, port: int) -> None:
        def connected() -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            made.connect((address, port))
            return made

        self._socket = space.call(connected)

    def ask(self, within_s: float = 15) -> str:
        """Send once; who answers (`near1 8080`), `refused`, or nothing. Answers to earlier questions do not count."""
        self._socket.settimeout(0)
        with contextlib.suppress(OSError):
            while self._socket.recv(100):
                pass
        self._socket.settimeout(within_s)
        try:
            self._socket.send(b"?")
            name, _, port = self._socket.recv(100).decode().split()
        except TimeoutError:
            return ""
        except (ConnectionRefusedError, PermissionError):  # a process of the node gets the error from its kernel
            return "refused"
        return f"{name} {port}"

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def clients(world: Topology, *ways: tuple[str, Pair, int]) -> Iterator[list[Client]]:
    """A client for each way (where it stands, address, port) in each family."""
    made = [Client(world[space], address[family], port) for space, address, port in ways for family in (4, 6)]
    try:
        yield made
    finally:
        for client in made:
            client.close()


class Table:
    """The flows that a namespace tracks."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self.dumps: list[Lookup | None] = []

    def flows(self, family: Family, lookup: Lookup | None = None) -> Iterable[Flow]:
        self.dumps.append(lookup)
        return self._space.call(lambda: list(ctnetlink.flows(family, lookup)))

    def delete(self, family: Family, gone: Sequence[Flow]) -> None:
        self._space.call(ctnetlink.delete, family, gone)

    def all(self) -> list[Flow]:
        return [flow for family in Family for flow in self._space.call(lambda family=family: list(ctnetlink.flows(family)))]  # type: ignore[misc]

    def empty(self) -> None:
        for family in Family:
            if gone := list(self.flows(family)):
                self.delete(family, gone)


@contextlib.contextmanager
def lasting_flows(node: Namespace) -> Iterator[None]:
    """Flows do not end by themselves while a proxy or an API server takes its time."""
    names = ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream")
    before = {name: node.call(Path(f"/proc/sys/net/netfilter/{name}").read_text) for name in names}
    node.sysctl({f"net.netfilter.{name}": "300" for name in names})
    try:
        yield
    finally:
        node.sysctl({f"net.netfilter.{name}": value for name, value in before.items()})


def answered_by(flows: Iterable[Flow], place: str) -> list[Flow]:
    """Those that an endpoint answers."""
    own = {socket.inet_pton(socket.AF_INET if family == 4 else socket.AF_INET6, NETNS.places[place][family]) for family in (4, 6)}
    return [flow for flow in flows if flow.answers[:-2] in own]


class Cleaned:
    """A mode with the cleaner, which has done its work when a commit returns; its table, and what it counted."""

    def __init__(self, world: Topology, mode: Dataplane) -> None:
        def local() -> list[Any]:
            return [each.address for each in world.node.call(rtnetlink.read) if not each.is_loopback]

        self.table, self.told = Table(world.node), list[Mapping[Stale, int]]()
        self._cleaner = ConntrackCleaner(self.table, local, lambda _family, reasons, _s: self.told.append(reasons), lambda _: None)
        self.serve(mode)

    def serve(self, mode: Dataplane) -> None:
        """Go on with this one."""
        self._mode = self._cleaner.after(mode)

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        return self._followed(self._mode.resync(settings, wanted))

    def apply(self, changes: Iterable[Change]) -> Outcome:
        return self._followed(self._mode.apply(changes))

    def _followed(self, outcome: Outcome) -> Outcome:
        assert self._cleaner.clean()
        return outcome

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._mode.is_slow(changes)

    def disturbed(self) -> bool:
        return self._mode.disturbed()


WAYS = (
    ("client", CLUSTER_IP, PORT),
    ("node", CLUSTER_IP, PORT),
    ("outside", NODE, NODE_PORT),
    ("outside", EXTERNAL_IP, PORT),
    ("outside", VIP, PORT),
)
"""A pod, a process of the node, and clients outside of every kind of address."""

POD = PODS["client"]


MOVES_WITHIN_S = 60
"""kube-proxy has its minSyncPeriod; ours have moved everything when `apply` returns."""


def reach(clients_: list[Client], answer: str, within_s: float = MOVES_WITHIN_S) -> None:
    """All clients get this answer, and go on to."""
    for client in clients_:
        eventually(client.ask, within_s=within_s, every_s=0.02, until=lambda got: got == answer)
    assert {client.ask() for client in clients_} == {answer}


@contextlib.contextmanager
def served_by(world: Topology, mode: str) -> Iterator[ModeInstance]:
    """A data plane of ours; the node is clean afterwards."""
    with dataplane(world, mode) as made:
        yield made
    world.node.sysctl({ROUTE_LOCALNET: "0"})
    empty(world.node)
