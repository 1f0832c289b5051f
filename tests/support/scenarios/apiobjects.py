"""The objects of scenarios in a real API server, and whether the proxies that watch it have caught up with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.netns.peers import Prober
from tests.support.polling import eventually
from tests.support.scenarios.apiwriter import ApiWriter
from tests.support.scenarios.book import Book
from tests.support.scenarios.objects import SERVICE_LABEL, Key, sentinel_addresses
from tests.support.scenarios.scenario import Object

SYNC_WITHIN_S = 60
SENTINEL = "sentinel"
TURNS, TURN_PORT, TURN_TARGET = ("turn-0", "turn-1"), 999, 8080


class ApiObjects:
    """All Services and EndpointSlices of scenarios. `pods` are clients, one behind each proxy that has to catch up."""

    def __init__(self, writer: ApiWriter, book: Book, pods: Sequence[Prober]) -> None:
        self.writer, self._pods = writer, pods
        self._present: dict[Key, Object] = {}
        self._generation = 0
        self._endpoint, self._node = book.places["near1"], book.nodes["near1"]
        self._addresses = sentinel_addresses(book, 1 + len(TURNS))
        self.namespaces: set[str] = set()
        """Those that it made."""

    def apply(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices, and wait until the proxies serve them."""
        self.put(objects)
        eventually(self.caught_up, within_s=SYNC_WITHIN_S)

    def put(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices; do not wait."""
        namespaces = ({namespace for _, namespace, _ in objects} | {SENTINEL}) - self.namespaces
        self.writer.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces)
        self.namespaces |= namespaces
        self.writer.replace(self._present, objects)
        self._present = dict(objects)
        self._generation += 1
        self.writer.apply_in_order(self._sentinel())

    def caught_up(self) -> bool:
        """Whether every pod reaches the newest sentinel in both families, and of the two others the one whose turn it is."""
        _, *turns = self._addresses
        turn = turns[TURNS.index(self._turn)]
        targets = [
            *((address, self._port, self._endpoint_port) for address in self._addresses[0].both),
            *((address, TURN_PORT, TURN_TARGET) for address in turn.both),
        ]
        flows = [{"address": address, "port": port, "patience_s": 0.5} for address, port, _ in targets]
        answers = [zip(pod.ask(flows), targets, strict=True) for pod in self._pods]
        return all(next(iter(answer)).endswith(f" {target}") for each in answers for answer, (_, _, target) in each)

    @property
    def _port(self) -> int:
        return 1000 + self._generation

    @property
    def _endpoint_port(self) -> int:
        return 8080 if self._generation % 2 else 9090

    @property
    def _turn(self) -> str:
        """Which of the two has an endpoint now."""
        return TURNS[self._generation % 2]

    def _sentinel(self) -> list[Object]:
        """Services and slices that differ every time, written last: watches keep the order, so who serves them has seen the rest.

        `sentinel` has another port each time, and the two others take turns in having an endpoint: in iptables mode refusals end in the
        last transaction."""
        served = {SENTINEL: (self._port, self._endpoint_port), **dict.fromkeys(TURNS, (TURN_PORT, TURN_TARGET))}
        made: list[Object] = []
        for (name, (port, target)), address in zip(served.items(), self._addresses, strict=True):
            spec: dict[str, Any] = {
                "clusterIP": address.v4,
                "clusterIPs": list(address.both),
                "ipFamilyPolicy": "RequireDualStack",
                "ports": [{"name": "web", "port": port, "targetPort": 8080}],
            }
            made.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": SENTINEL}, "spec": spec})
            for family in (4, 6):
                endpoint = {"addresses": [self._endpoint[family]], "nodeName": self._node}
                made.append(
                    {
                        "apiVersion": "discovery.k8s.io/v1",
                        "kind": "EndpointSlice",
                        "metadata": {"name": f"{name}-{family}", "namespace": SENTINEL, "labels": {SERVICE_LABEL: name}},
                        "addressType": f"IPv{family}",
                        "ports": [{"name": "web", "port": target, "protocol": "TCP"}],
                        "endpoints": [endpoint] if name in (SENTINEL, self._turn) else [],
                    }
                )
        return sorted(made, key=lambda one: one["metadata"]["name"].startswith(SENTINEL))
