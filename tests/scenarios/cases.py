"""From scenarios to cases: client class × kind of address × port and protocol × family, in rounds of what can be asked at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.netns.topology import NODE, NODE2, NODE_ALTERNATIVE, NODE_GATEWAYS, OUTSIDE, OUTSIDE_OTHER, PODS, PODS2, Pair
from tests.scenarios.objects import Allocator, Key, Story
from tests.scenarios.scenario import Expectation, Object, Result, Scenario, ScenarioError

LOOPBACK = Pair("127.0.0.1", "::1")
UNALLOCATED = Pair("10.96.255.250", "fd00:10:96::ffff")


@dataclass(frozen=True, slots=True)
class Client:
    """Where a class of clients stands, and the address that it has of its own."""

    space: str
    address: Pair


CLIENTS = {
    "pod": Client("client", PODS["client"]),
    "near1": Client("near1", PODS["near1"]),
    "pod-elsewhere": Client("elsewhere", PODS2["elsewhere"]),
    "node": Client("node", NODE),
    "localhost": Client("node", LOOPBACK),
    "outside": Client("outside", OUTSIDE),
    "outside-other": Client("outside", OUTSIDE_OTHER),
}
MASQUERADED = frozenset(address for pair in (*NODE_GATEWAYS, NODE, NODE_ALTERNATIVE) for address in pair.both)
BOUND_CLIENTS = ("outside-other",)
ENDPOINTS = {**{name: name for name in (*PODS, *PODS2)}, NODE.v4: "host", NODE.v6: "host", NODE2.v4: "host2", NODE2.v6: "host2"}


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of flow, and what has to become of it."""

    id: str
    client: str
    family: int
    address: str
    port: int
    protocol: str
    expectation: Expectation

    def flow(self, result: Result) -> dict[str, Any]:
        """The question for `probe.py`, with as many attempts as it takes to see every endpoint, and one too many."""
        flow: dict[str, Any] = {"address": self.address, "port": self.port, "protocol": self.protocol.lower()}
        if self.client in BOUND_CLIENTS:
            flow["source"] = CLIENTS[self.client].address[self.family]
        if self.expectation.source_port:
            flow["source_port"] = self.expectation.source_port
        if result.verdict == "drop":
            return {**flow, "patience_s": 0.4}
        if result.verdict:
            return flow
        return {**flow, "attempts": 64, "least": 16, "enough": len(result.reach)}

    def judge(self, result: Result, answers: dict[str, int]) -> str:
        """What is wrong with the answers; empty if nothing is."""
        if result.verdict:
            wanted = result.verdict.upper()
            return "" if set(answers) == {wanted} else f"wanted {wanted}, got {answers}"
        reached: dict[str, set[str]] = {}
        for answer in answers:
            words = answer.split()
            if len(words) != 3 or words[0] not in ENDPOINTS.values():
                return f"wanted {result.reach}, got {answers}"
            with_port = f"{words[0]}:{words[2]}"
            reached.setdefault(with_port if with_port in result.reach else words[0], set()).add(words[1])
        if set(reached) != set(result.reach):
            return f"wanted {result.reach}, got {answers}"
        wrong = [f"{name} sees {sorted(seen)}" for name, seen in reached.items() if not self._source_is_right(result, name, seen)]
        return f"source address not {dict(result.source)}: {', '.join(wrong)}" if wrong else ""

    def _source_is_right(self, result: Result, endpoint: str, seen: set[str]) -> bool:
        own = CLIENTS[self.client].address[self.family]
        match result.source.get(endpoint, result.source.get("*", "")):
            case "kept":
                return seen == {own}
            case "masqueraded":
                return seen <= MASQUERADED - {own}
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


def rounds_of(scenarios: Iterable[Scenario]) -> list[Round]:
    """The scenarios of one configuration side by side, step by step. All configurations one after the other."""
    by_config: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        by_config.setdefault(scenario.config, []).append(scenario)
    return [round_ for config, members in by_config.items() for round_ in _rounds(config, members)]


def _rounds(config: str, scenarios: list[Scenario]) -> Iterator[Round]:
    allocator = Allocator()
    stories = [Story(scenario, allocator) for scenario in scenarios]
    for number in range(max(len(scenario.steps) for scenario in scenarios)):
        objects: dict[Key, Object] = {}
        cases: list[Case] = []
        for scenario, story in zip(scenarios, stories, strict=True):
            story.advance()
            objects |= story.objects()
            if number < len(scenario.steps):
                cases += _cases(scenario, number, story)
        yield Round(config, number, objects, tuple(cases))


def _cases(scenario: Scenario, number: int, story: Story) -> Iterator[Case]:
    step = scenario.steps[number]
    prefix = f"{scenario.id}.{number}" if number else scenario.id
    for expectation in step.expect:
        service = story.service(expectation.service)
        name = service["metadata"]["name"]
        for client in expectation.clients:
            for destination in expectation.destinations:
                for port in _ports(expectation, service):
                    if client == "localhost" and port["protocol"] == "SCTP":
                        continue  # A raw socket on loopback hears its own question: it cannot tell a refusal from silence.
                    for family in expectation.families:
                        for address, number_ in _targets(client, destination, service, port, family):
                            id_ = f"{prefix}:{client}->{name}.{destination}[{address}]:{number_}/{port['protocol'].lower()}"
                            yield Case(id_, client, family, address, number_, port["protocol"], expectation)


def _ports(expectation: Expectation, service: Object) -> list[Object]:
    number, slash, protocol = expectation.port.partition("/")
    if slash:
        return [{"name": "", "port": int(number), "protocol": protocol, "nodePort": int(number)}]
    ports = [{"protocol": "TCP", **port} for port in service["spec"]["ports"] if port.get("name", "").startswith(expectation.port)]
    if not ports:
        raise ScenarioError(f"{service['metadata']['name']} has no port {expectation.port!r}")
    return ports


def _targets(client: str, destination: str, service: Object, port: Object, family: int) -> Iterator[tuple[str, int]]:
    """The addresses of one family that the Service has of this kind, with the port number there."""
    spec = service["spec"]
    match destination:
        case "NodePort":
            yield (LOOPBACK if client == "localhost" else NODE)[family], port["nodePort"]
            return
        case "AlternativeNodePort":
            yield NODE_ALTERNATIVE[family], port["nodePort"]
            return
        case "Unallocated":
            yield UNALLOCATED[family], port["port"]
            return
        case "ClusterIP":
            addresses = spec["clusterIPs"]
        case "ExternalIP":
            addresses = spec["externalIPs"]
        case _:
            addresses = [entry["ip"] for entry in service["status"]["loadBalancer"]["ingress"]]
    for address in addresses:
        if (":" in address) == (family == 6):
            yield address, port["port"]
