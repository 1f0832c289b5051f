"""Who has which address: what the names in scenarios mean in one environment. `NETNS` is the node of tests/support/netns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.netns.topology import (
    NODE,
    NODE2,
    NODE2_NAME,
    NODE_ALTERNATIVE,
    NODE_GATEWAYS,
    NODE_NAME,
    OUTSIDE,
    OUTSIDE_OTHER,
    PODS,
    PODS2,
    PUBLIC_CIDR,
    SERVICE_CIDR,
    Pair,
)

LOOPBACK = Pair("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Client:
    """Where a class of clients stands, and its own address."""

    space: str
    address: Pair
    bound: bool = False
    """It is not the first address there, so a client has to ask for it."""


@dataclass(frozen=True, slots=True)
class Book:
    """The environment of scenarios. `spaces` of clients are names for the runner of the cases."""

    places: Mapping[str, Pair] = field(repr=False)
    """Endpoints by their names."""
    nodes: Mapping[str, str] = field(repr=False)
    """The Node of each place."""
    clients: Mapping[str, Client] = field(repr=False)
    node: Pair
    masqueraded: frozenset[str] = field(repr=False)
    """The addresses that the node under test masquerades with."""
    service_cidr: Pair
    public_cidr: Pair
    unallocated: Pair
    alternative: Pair = LOOPBACK
    """Another address of the node."""
    node_clients_tell: bool = True
    """A process of the node has another address than what the node masquerades with: one can be told from the other."""


NETNS = Book(
    places={**PODS, **PODS2, "host": NODE, "host2": NODE2},
    nodes={**dict.fromkeys((*PODS, "host"), NODE_NAME), **dict.fromkeys((*PODS2, "host2"), NODE2_NAME)},
    clients={
        "pod": Client("client", PODS["client"]),
        "near1": Client("near1", PODS["near1"]),
        "near2": Client("near2", PODS["near2"]),
        "pod-elsewhere": Client("elsewhere", PODS2["elsewhere"]),
        "node": Client("node", NODE),
        "localhost": Client("node", LOOPBACK),
        "outside": Client("outside", OUTSIDE),
        "outside-other": Client("outside", OUTSIDE_OTHER, bound=True),
    },
    node=NODE,
    masqueraded=frozenset(address for pair in (*NODE_GATEWAYS, NODE, NODE_ALTERNATIVE) for address in pair.both),
    service_cidr=SERVICE_CIDR,
    public_cidr=PUBLIC_CIDR,
    unallocated=Pair("10.96.255.250", "fd00:10:96::ffff"),
    alternative=NODE_ALTERNATIVE,
)
