"""A chosen part of the scenarios on a real cluster: their endpoints are pods, their clients are in pods, on nodes and outside.

Either of two nodes is the node under test in turn: `near` endpoints and the clients are there, `far` ones on the other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.cluster import cluster
from tests.e2e.installed import Installed
from tests.e2e.surroundings import nodes_of, service_cidr, space_of
from tests.e2e.workload import pod_name
from tests.support.netns.peers import Answers, Prober
from tests.support.netns.probe import DROP
from tests.support.netns.topology import PUBLIC_CIDR, Pair
from tests.support.scenarios.apiobjects import ApiObjects
from tests.support.scenarios.asking import asked
from tests.support.scenarios.book import LOOPBACK, Book, Client
from tests.support.scenarios.cases import Case, rounds_of
from tests.support.scenarios.scenario import BEYOND, Expectation, Result, Scenario, load

CLIENTS = ("pod", "node", "localhost", "outside")
"""A pod elsewhere is behind another node's proxy here: the turn of that node has it."""

UNREACHABLE = ("ERROR Network is unreachable", "ERROR No route to host")

CHOSEN = (
    *("matrix-cluster-ip", "matrix-node-port", "matrix-load-balancer"),
    *("row-001", "row-002", "row-003", "row-005", "row-007", "row-008", "row-009", "row-010", "row-011"),
    *("row-022-vip", "row-022-proxy", "row-022-none", "row-034", "row-035", "row-038", "row-040", "row-042", "row-049"),
    *("row-052", "row-053", "row-054", "row-055", "row-056-terminating", "row-057", "row-058", "row-059-published"),
    *("row-075", "row-076-ipv4", "row-078-node-port", "row-079", "row-080", "row-082", "row-085", "row-087", "row-093", "row-094"),
    *("row-099", "row-100", "row-101"),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A case and what was wrong with it; empty if nothing was."""

    case: Case
    problem: str


def scenarios() -> list[Scenario]:
    """The chosen ones, with the clients that a real cluster has."""
    return [_reduced(scenario) for scenario in load() if scenario.id in CHOSEN]


def book_of(product: Installed, local: cluster.Cluster, peers: Mapping[str, Pair], under_test: int) -> Book:
    """Who is who when the node of number `under_test` (1 or 2) is the node under test."""
    other = 3 - under_test
    nodes = nodes_of(product)
    here, there = nodes[under_test - 1], nodes[other - 1]
    near = {f"near{number}": peers[pod_name(f"backend-{number}", under_test)] for number in (1, 2)}
    far = {f"far{number}": peers[pod_name(f"backend-{number}", other)] for number in (1, 2)}
    own = _addresses(space_of(local, here.name).run("ip", "-o", "addr"))
    cidr = service_cidr(product)
    return Book(
        places={**near, **far},
        nodes={**dict.fromkeys(near, here.name), **dict.fromkeys(far, there.name)},
        clients={
            "pod": Client(pod_name("client", under_test), peers[pod_name("client", under_test)]),
            "node": Client(pod_name("host", under_test), here.address),
            "localhost": Client(pod_name("host", under_test), LOOPBACK),
            "outside": Client("outside", Pair(local.outside.ipv4, local.outside.ipv6)),
        },
        node=here.address,
        masqueraded=own,
        service_cidr=cidr,
        public_cidr=PUBLIC_CIDR,
        unallocated=Pair(_last(cidr.v4), _last(cidr.v6)),
        node_clients_tell=False,
    )


def play(book: Book, objects: ApiObjects, probers: Mapping[str, Prober], names: Mapping[str, str], mode: str) -> dict[str, list[Judged]]:
    """Play all rounds; what became of the cases, by scenario. `names` are the places of the pods that answer."""
    judged: dict[str, list[Judged]] = {scenario.id: [] for scenario in scenarios()}
    for round_ in rounds_of(scenarios(), book, mode):
        objects.apply(round_.objects)
        for case, answers in asked(round_.cases, probers, lambda case: case.expectation.result):
            problem = case.judge(case.expectation.result, _renamed(answers, names))
            judged[case.scenario].append(Judged(case, f"{case.id}: {problem}" if problem else ""))
    return judged


def _unserved(result: Result) -> Result:
    """Nobody answers beyond a real node."""
    return Result(verdict="drop") if BEYOND in result.reach else result


def _reduced(scenario: Scenario) -> Scenario:
    steps = tuple(replace(step, expect=tuple(filter(None, map(_possible, step.expect)))) for step in scenario.steps)
    return replace(scenario, steps=steps)


def _possible(expectation: Expectation) -> Expectation | None:
    clients = tuple(client for client in expectation.clients if client in CLIENTS)
    destinations = tuple(destination for destination in expectation.destinations if destination != "AlternativeNodePort")
    if not clients or not destinations:
        return None
    by_mode = {mode: _unserved(result) for mode, result in expectation.by_mode.items()}
    return replace(expectation, clients=clients, destinations=destinations, result=_unserved(expectation.result), by_mode=by_mode)


def _renamed(answers: Answers, names: Mapping[str, str]) -> Answers:
    """The answers with places instead of pods. What no node serves leaves it, and the network behind has no way to it."""
    renamed: Answers = {}
    for answer, count in answers.items():
        if answer in UNREACHABLE:
            renamed[DROP] = renamed.get(DROP, 0) + count
            continue
        who, blank, rest = answer.partition(" ")
        renamed[f"{names.get(who, who)}{blank}{rest}"] = count
    return renamed


def _addresses(listed: str) -> frozenset[str]:
    return frozenset(line.split()[3].partition("/")[0] for line in listed.splitlines())


def _last(cidr: str) -> str:
    """An address near the end of a range, where nobody allocates first."""
    return str(ipaddress.ip_network(cidr)[-6])
