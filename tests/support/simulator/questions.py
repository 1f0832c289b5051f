"""Who can ask what in a cluster: every client class × every address, port and protocol that its Services have, and some more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random

from tests.support.scenarios.book import LOOPBACK, NETNS, Book
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object
from tests.support.simulator.cases import Flow

UNKNOWN_PORT = 82


def questions(objects: Mapping[Key, Object], book: Book = NETNS) -> Iterator[Flow]:
    """All of them, in an order that depends on the objects alone."""
    for key in sorted(objects):
        one = objects[key]
        if one["kind"] == "Service":
            yield from _about(one, book)
    for address in book.unallocated.both:
        yield from _by_all(address, 80, "TCP", book)


def some(random: Random, flows: Iterable[Flow], count: int) -> list[Flow]:
    """At most that many of them, chosen at random."""
    listed = list(flows)
    return listed if len(listed) <= count else random.sample(listed, count)


def _about(service: Object, book: Book) -> Iterator[Flow]:
    spec = service["spec"]
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    addresses = [*spec["clusterIPs"], *spec.get("externalIPs", ()), *(entry["ip"] for entry in ingress)]
    for address in addresses:
        for port in spec["ports"]:
            yield from _by_all(address, port["port"], port["protocol"], book)
        yield from _by_all(address, UNKNOWN_PORT, "TCP", book)
    for port in spec["ports"]:
        if "nodePort" in port:
            for address in (*book.node.both, *book.alternative.both, *LOOPBACK.both):
                yield from _by_all(address, port["nodePort"], port["protocol"], book)


def _by_all(address: str, port: int, protocol: str, book: Book) -> Iterator[Flow]:
    """Loopback is asked by processes of the node alone; its SCTP cannot be told from silence (tests/support/scenarios/cases.py)."""
    family, loopback = 6 if ":" in address else 4, address in LOOPBACK.both
    for name, client in book.clients.items():
        if loopback == (name == "localhost") and not (loopback and protocol == "SCTP"):
            yield Flow(name, client.address[family], address, port, protocol)
