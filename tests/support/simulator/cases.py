"""Cases of tests/support/scenarios as packets, and what the simulator says to them in the terms that the cases are judged by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tests.support.scenarios.cases import Case
from tests.support.scenarios.scenario import Result
from tests.support.simulator.answers import Heard, ask, shares
from tests.support.simulator.node import NetnsNode, packed

from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Memory, Rules
from proxyconfig_agent.ingest.model import Protocol

_EPHEMERAL = 40_000
ON_THE_NODE = ("node", "localhost")


@dataclass(frozen=True, slots=True)
class Flow:
    """Who asks what. `own` is the client's address; processes of the node have one that fits the destination."""

    client: str
    own: str
    address: str
    port: int
    protocol: str
    source_port: int = 0

    def packet(self, node: NetnsNode) -> Packet:
        """The first packet, as it leaves the client."""
        destination, on_the_node = packed(self.address), self.client in ON_THE_NODE
        source = node.source_towards(destination) if on_the_node else packed(self.own)
        return Packet(
            family=4 if len(destination) == 4 else 6,
            protocol=Protocol[self.protocol.upper()],
            source=source,
            destination=destination,
            source_port=self.source_port or _EPHEMERAL,
            port=self.port,
            came_in="" if on_the_node else node.device_from(source),
        )


def packet_of(case: Case, node: NetnsNode) -> Packet:
    """The first packet of the case's flow."""
    return Flow(case.client, case.own, case.address, case.port, case.protocol, case.expectation.source_port).packet(node)


def problems(case: Case, result: Result, rules: Rules, node: NetnsNode, memory: Memory) -> Iterator[str]:
    """What is wrong with what becomes of the case's flow; nothing if all is well. `memory` is of what was before, and gets this."""
    asked = packet_of(case, node)
    heard = list(ask(rules, asked, node, memory))
    if result.sticky:
        yield from _problems_of_sticky(case, result, heard, [shares(rules, asked, node, each.memory) for each in heard])
    else:
        found = shares(rules, asked, node, memory)
        yield case.judge(result, dict.fromkeys(found, 1))
        if len(found) == len(result.reach) > 1 and set(found.values()) != {Fraction(1, len(found))}:
            yield f"shares differ: { {answer: float(share) for answer, share in found.items()} }"
    memory.clear()
    memory.update(heard[0].memory)


def _problems_of_sticky(case: Case, result: Result, heard: list[Heard], again: list[dict[str, Fraction]]) -> Iterator[str]:
    """Whatever was chosen first is what is chosen the next time."""
    for first, second in zip(heard, again, strict=True):
        yield case.judge(result, {first.answer: 1})
        if set(second) != {first.answer}:
            yield f"{first.answer} at first, then {sorted(second)}"
