"""What a client hears, in the words of tests/support/netns/probe.py, with the share of connections that hear it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tests.support.netns.probe import DROP, REJECT
from tests.support.netns.topology import BEYOND_PORT
from tests.support.scenarios.scenario import BEYOND
from tests.support.simulator.node import NetnsNode, is_loopback

from proxyconfig_agent.checks.walker.choices import every_way
from proxyconfig_agent.checks.walker.packet import LOOPBACK_DEVICE, Packet
from proxyconfig_agent.checks.walker.path import Fate, Memory, Rules, Verdict, travel
from proxyconfig_agent.ingest.model import Address, text_of

_NO_MEMORY = Memory()
Shares = dict[str, Fraction]
"""How large a part of the connections hears which answer; together one."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One way that a connection can go."""

    answer: str
    share: Fraction
    memory: Memory
    """What rules remember afterwards."""


def ask(rules: Rules, packet: Packet, node: NetnsNode, memory: Memory = _NO_MEMORY) -> Iterator[Heard]:
    """Every way that a connection can go, each once."""
    for share, fate in every_way(lambda choices: travel(rules, packet, node, choices, memory)):
        yield Heard(_answer(fate, packet, node), share, fate.memory)


def shares(rules: Rules, packet: Packet, node: NetnsNode, memory: Memory = _NO_MEMORY) -> Shares:
    """The answers, and how often each is heard."""
    found: defaultdict[str, Fraction] = defaultdict(Fraction)
    for heard in ask(rules, packet, node, memory):
        found[heard.answer] += heard.share
    return dict(found)


def _answer(fate: Fate, asked: Packet, node: NetnsNode) -> str:
    if fate.verdict is not Verdict.ACCEPT:
        return REJECT if fate.verdict is Verdict.REJECT else DROP
    packet = fate.packet
    stays = packet.came_in == LOOPBACK_DEVICE
    if is_loopback(packet.source) and not stays:
        return DROP  # no interface but loopback takes such a packet
    if not packet.masqueraded and asked.came_in and node.answers_past(packet.source, packet.destination):
        return DROP  # the client hears from an address that it did not ask
    if node.leads_beyond(packet.destination):
        return f"{BEYOND} {text_of(Address(packet.source))} {BEYOND_PORT}"
    if name := node.server_at(packet.destination, packet.port):
        return f"{name} {text_of(Address(packet.source))} {packet.port}"
    return REJECT if node.is_alive(packet.destination) else DROP
