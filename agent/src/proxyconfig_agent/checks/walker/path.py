"""The way of a connection's first packet through a node: hooks, routing, conntrack. The same for every mode that uses netfilter."""

from __future__ import annotations

import enum
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from proxyconfig_agent.checks.walker.choices import Choices
from proxyconfig_agent.checks.walker.packet import LOOPBACK_DEVICE, Packet


class Hook(enum.IntEnum):
    """NF_INET_*."""

    PREROUTING = 0
    INPUT = 1
    FORWARD = 2
    OUTPUT = 3
    POSTROUTING = 4


class Verdict(enum.Enum):
    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"


class Memory(dict[tuple[str, bytes], bytes]):
    """What rules remember of clients (session affinity), by what remembers it and what about. It belongs to nobody but the mode."""


class Node(Protocol):
    """What the way of a packet depends on besides rules; addresses are packed."""

    def is_local(self, address: bytes) -> bool:
        """Whether it is the node's own: `fib … type local`."""
        ...

    def device_to(self, destination: bytes) -> str:
        """The interface that the routes lead to."""
        ...

    def masquerading(self, device: str, size: int) -> bytes:
        """The address, of `size` bytes, that packets get that are masqueraded on their way out there."""
        ...


class Passage(Struct):
    """A packet while it is on its way, and what rules can ask besides the packet."""

    packet: Packet
    node: Node
    choices: Choices
    memory: Memory


class Rules(Protocol):
    """A mode's rules."""

    def meet(self, hook: Hook, passage: Passage) -> Verdict:
        """All chains of a hook in the order of their priorities; those of type nat only where the packet is not settled yet.

        They change the packet's destination, and mark it `masqueraded`; the path gives it the source that it has then."""
        ...


class Fate(Struct, frozen=True):
    """What became of a packet; it is as it was at its end."""

    verdict: Verdict
    packet: Packet
    memory: Memory


def travel(rules: Rules, packet: Packet, node: Node, choices: Choices, memory: Memory) -> Fate:
    """Let a new packet travel until somebody has it, or nobody ever will. The packet and the memory given stay as they are."""
    passage = Passage(replace(packet), node, choices, Memory(memory))
    verdict = _received(rules, passage) if packet.came_in else _sent(rules, passage)
    return Fate(verdict, passage.packet, passage.memory)


def _received(rules: Rules, passage: Passage) -> Verdict:
    packet, node = passage.packet, passage.node
    if (verdict := at(rules, Hook.PREROUTING, passage)) is not Verdict.ACCEPT:
        return verdict
    if node.is_local(packet.destination):
        return at(rules, Hook.INPUT, passage)
    packet.goes_out = node.device_to(packet.destination)
    if packet.family == 4:
        packet.priority = 0  # ip_forward() sets it by the type of service; IPv6 does not
    if (verdict := at(rules, Hook.FORWARD, passage)) is not Verdict.ACCEPT:
        return verdict
    return at(rules, Hook.POSTROUTING, passage)


def _sent(rules: Rules, passage: Passage) -> Verdict:
    packet, node = passage.packet, passage.node
    packet.goes_out = node.device_to(packet.destination)
    if (verdict := at(rules, Hook.OUTPUT, passage)) is not Verdict.ACCEPT:
        return verdict
    packet.goes_out = node.device_to(packet.destination)
    if (verdict := at(rules, Hook.POSTROUTING, passage)) is not Verdict.ACCEPT:
        return verdict
    if packet.goes_out != LOOPBACK_DEVICE:
        return Verdict.ACCEPT
    packet.came_in, packet.goes_out = LOOPBACK_DEVICE, ""
    return _received(rules, passage)


def at(rules: Rules, hook: Hook, passage: Passage) -> Verdict:
    """One hook, and what conntrack does there with the packet that has passed it."""
    packet = passage.packet
    verdict = rules.meet(hook, passage)
    if hook in (Hook.PREROUTING, Hook.OUTPUT):
        packet.destination_settled = True
    elif hook is Hook.POSTROUTING:
        if packet.masqueraded and not packet.source_settled:
            packet.source = passage.node.masquerading(packet.goes_out, len(packet.source))
        packet.source_settled = True
    return verdict
