"""From scenarios to cases: client class × kind of address × port and protocol × family, in rounds of what can be asked at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.scenarios.book import LOOPBACK, NETNS, Book
from tests.support.scenarios.objects import Allocator, Key, Story
from tests.support.scenarios.scenario import BEYOND, PROXIED, Expectation, Object, Result, Scenario, ScenarioError


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of flow, and what has to become of it."""

    id: str
    scenario: str
    client: str
    family: int
    address: str
    port: int
    protocol: str
    expectation: Expectation
    book: Book = field(repr=False)

    @property
    def step(self) -> str:
        """The scenario's step that it belongs to: `row-006`, and `row-006.1` after the first change."""
        return self.id.partition(":")[0]

    @property
    def space(self) -> str:
        """Where the client stands."""
        return self.book.clients[self.client].space

    @property
    def own(self) -> str:
        """The client's own address."""
        return self.book.clients[self.client].address[self.family]

    def flow(self, result: Result) -> dict[str, Any]:
        """The question for `probe.py`, with as many attempts as it takes to see every endpoint, and one too many."""
        flow: dict[str, Any] = {"address": self.address, "port": self.port, "protocol": self.protocol.lower()}
        if self.book.clients[self.client].bound:
            flow["source"] = self.own
        if self.expectation.source_port:
            flow["source_port"] = self.expectation.source_port
        if result.verdict == "drop":
            return {**flow, "patience_s": 0.4}
        if result.verdict:
            # While a raw socket is opened on the node, it may swallow a packet that the node would refuse.
            return {**flow, "again": 4, "patience_s": 3}
        # So many attempts that none of several endpoints is missed by chance: each of 10 is, once in 10¹⁷ cases.
        return {**flow, "attempts": 400, "least": 16, "enough": 1 if result.sticky else len(result.reach)}

    def judge(self, result: Result, answers: dict[str, int]) -> str:
        """What is wrong with the answers; empty if nothing is."""
        if result.verdict:
            wanted = result.verdict.upper()
            return "" if set(answers) == {wanted} else f"wanted {wanted}, got {answers}"
        reached: dict[str, set[str]] = {}
        for answer in answers:
            words = answer.split()
            if len(words) != 3 or words[0] not in {*self.book.places, BEYOND}:
                return f"wanted {result.reach}, got {answers}"
            with_port = f"{words[0]}:{words[2]}"
            reached.setdefault(with_port if with_port in result.reach else words[0], set()).add(words[1])
        right = len(reached) == 1 and set(reached) <= set(result.reach) if result.sticky else set(reached) == set(result.reach)
        if not right:
            return f"wanted {'one of ' if result.sticky else ''}{result.reach}, got {answers}"
        wrong = [f"{name} sees {sorted(seen)}" for name, seen in reached.items() if not self._source_is_right(result, name, seen)]
        return f"source address not {dict(result.source)}: {', '.join(wrong)}" if wrong else ""

    def _source_is_right(self, result: Result, endpoint: str, seen: set[str]) -> bool:
        match result.source.get(endpoint, result.source.get("*", "")):
            case "kept":
                return seen == {self.own}
            case "masqueraded":
                tells = self.client != "node" or self.book.node_clients_tell
                return seen <= self.book.masqueraded - ({self.own} if tells else set())
            case _:
                return True


@dataclass(frozen=True, slots=True)
class Round:
    """A state of the cluster, and the cases that hold in it. A scenario that is at its end keeps its last objects."""

    config: str
    number: int
    objects: dict[Key, Object]
    cases: tuple[Case, ...] = field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.config}-{self.number}"


def rounds_of(scenarios: Iterable[Scenario], book: Book = NETNS, mode: str = "nftables", rules: str = "") -> list[Round]:
    """The scenarios of one configuration side by side, step by step. All configurations one after the other."""
    by_config: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        if mode in scenario.modes:
            by_config.setdefault(scenario.config, []).append(_in_mode(scenario, mode, rules))
    return [round_ for config, members in by_config.items() for round_ in _rounds(config, members, book)]


def _in_mode(scenario: Scenario, mode: str, rules: str) -> Scenario:
    steps = tuple(replace(step, expect=tuple(filter(None, (one.in_mode(mode, rules) for one in step.expect)))) for step in scenario.steps)
    return replace(scenario, modes=(mode,), steps=steps)


def _rounds(config: str, scenarios: list[Scenario], book: Book) -> Iterator[Round]:
    allocator = Allocator(book)
    stories = [Story(scenario, allocator, book) for scenario in scenarios]
    of_each: dict[str, dict[Key, Object]] = {}
    for number in range(max(len(scenario.steps) for scenario in scenarios)):
        cases: list[Case] = []
        for scenario, story in zip(scenarios, stories, strict=True):
            if number < len(scenario.steps):
                story.advance()
                of_each[scenario.id] = story.objects()
                cases += _cases(scenario, number, story, book)
        yield Round(config, number, {key: one for objects in of_each.values() for key, one in objects.items()}, tuple(cases))


def _cases(scenario: Scenario, number: int, story: Story, book: Book) -> Iterator[Case]:
    step = scenario.steps[number]
    prefix = f"{scenario.id}.{number}" if number else scenario.id
    for expectation in step.expect:
        service = story.service(expectation.service)
        name = service["metadata"]["name"]
        for client in expectation.clients:
            for destination in expectation.destinations:
                for port in _ports(expectation, service):
                    if port["protocol"] == "SCTP" and (client == "localhost" or scenario.modes[0] in PROXIED):
                        continue  # A raw socket on loopback hears its own question: it cannot tell a refusal from silence.
                    for address, number_ in _targets(book, client, destination, service, port):
                        family = 6 if ":" in address else 4
                        if family in expectation.families:
                            id_ = f"{prefix}:{client}->{name}.{destination}[{address}]:{number_}/{port['protocol'].lower()}"
                            yield Case(id_, scenario.id, client, family, address, number_, port["protocol"], expectation, book)


def _ports(expectation: Expectation, service: Object) -> list[Object]:
    number, slash, protocol = expectation.port.partition("/")
    if slash:
        return [{"name": "", "port": int(number), "protocol": protocol, "nodePort": int(number)}]
    ports = [{"protocol": "TCP", **port} for port in service["spec"]["ports"] if port.get("name", "").startswith(expectation.port)]
    if not ports:
        raise ScenarioError(f"{service['metadata']['name']} has no port {expectation.port!r}")
    return ports


def _targets(book: Book, client: str, destination: str, service: Object, port: Object) -> Iterator[tuple[str, int]]:
    """The addresses that the Service has of this kind, with the port number there."""
    match destination:
        case "NodePort":
            yield from ((address, port["nodePort"]) for address in (LOOPBACK if client == "localhost" else book.node).both)
        case "AlternativeNodePort":
            yield from ((address, port["nodePort"]) for address in book.alternative.both)
        case "Unallocated":
            yield from ((address, port["port"]) for address in book.unallocated.both)
        case "ClusterIP":
            yield from ((address, port["port"]) for address in service["spec"]["clusterIPs"])
        case "ExternalIP":
            yield from ((address, port["port"]) for address in service["spec"]["externalIPs"])
        case _:
            yield from ((entry["ip"], port["port"]) for entry in service["status"]["loadBalancer"]["ingress"])
