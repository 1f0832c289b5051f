"""Tables, chains and sets as nf_tables keeps them. Transactions make new ones; nothing changes a table that is in force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from tests.support.simulator.nftables.expressions import Jump, decode_verdict, jumps, sets_used, text

from proxyconfig_agent.netlink import frames

INTERVAL = 0x04


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a set. `octets` are the whole NFTA_LIST_ELEM payload, as the agent sent it and reads it back."""

    key: bytes
    octets: bytes = field(repr=False)
    end: bytes = b""
    value: bytes = b""
    verdict: Jump | None = None

    def says(self, other: Element) -> bool:
        """Whether it maps to the same."""
        return (self.end, self.value, self.verdict) == (other.end, other.value, other.verdict)


@dataclass(slots=True)
class Set:
    """`payload` is that of the message that made it."""

    payload: bytes
    flags: int
    key_length: int
    value_length: int
    size: int
    fields: tuple[int, ...]
    elements: dict[bytes, Element] = field(default_factory=dict)

    def find(self, key: bytes) -> Element | None:
        if not self.flags & INTERVAL:
            return self.elements.get(key)
        return next((element for element in self.elements.values() if self._covers(element, key)), None)

    def overlapping(self, element: Element) -> Element | None:
        """An element that has a key in common with this one."""
        if not self.flags & INTERVAL:
            return self.elements.get(element.key)
        return next((other for other in self.elements.values() if self._meet(element, other)), None)

    def _covers(self, element: Element, key: bytes) -> bool:
        return all(element.key[at] <= key[at] <= (element.end or element.key)[at] for at in self._places())

    def _meet(self, one: Element, other: Element) -> bool:
        return all(one.key[at] <= (other.end or other.key)[at] and other.key[at] <= (one.end or one.key)[at] for at in self._places())

    def _places(self) -> Iterator[slice]:
        """Where the fields of a concatenation are in a key: each begins at a multiple of four."""
        at = 0
        for length in self.fields or (self.key_length,):
            yield slice(at, at + length)
            at += length + (-length % 4)


@dataclass(frozen=True, slots=True)
class Rule:
    expressions: bytes
    payload: bytes = field(repr=False)


@dataclass(slots=True)
class Chain:
    """`hook` and `priority` are those of a base chain."""

    payload: bytes
    kind: str = ""
    hook: int | None = None
    priority: int = 0
    rules: tuple[Rule, ...] = ()


@dataclass(slots=True)
class Table:
    payload: bytes
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)

    def is_led_to(self, chain: str) -> bool:
        """Whether a rule or an element leads to a chain."""
        by_elements = (element.verdict.chain for each in self.sets.values() for element in each.elements.values() if element.verdict)
        return any(chain in jumps(rule.expressions) for rule in self._rules()) or chain in by_elements

    def is_used(self, name: str) -> bool:
        """Whether a rule looks a set up."""
        return any(name in sets_used(rule.expressions) for rule in self._rules())

    def _rules(self) -> Iterator[Rule]:
        return (rule for chain in self.chains.values() for rule in chain.rules)


@cache
def element_of(octets: bytes) -> Element:
    attributes = dict(frames.attributes(octets))
    data = dict(frames.attributes(attributes.get(2, b"")))
    verdict = decode_verdict(data[2]) if 2 in data else None
    end = dict(frames.attributes(attributes[10]))[1] if 10 in attributes else b""
    return Element(dict(frames.attributes(attributes[1]))[1], octets, end, data.get(1, b""), verdict)


def set_of(payload: bytes) -> Set:
    attributes = dict(frames.attributes(payload))
    description = dict(frames.attributes(attributes.get(9, b"")))
    lengths = tuple(int.from_bytes(dict(frames.attributes(each))[1]) for _, each in frames.attributes(description.get(2, b"")))
    flags, key_length, value_length = (int.from_bytes(attributes.get(kind, b"")) for kind in (3, 5, 7))
    return Set(payload, flags, key_length, value_length, int.from_bytes(description.get(1, b"")), lengths)


def chain_of(payload: bytes) -> Chain:
    attributes = dict(frames.attributes(payload))
    if 4 not in attributes:
        return Chain(payload)
    hook = dict(frames.attributes(attributes[4]))
    return Chain(payload, text(attributes[7]), int.from_bytes(hook[1]), int.from_bytes(hook[2], signed=True))
