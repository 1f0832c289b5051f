"""What a simulated kernel holds, without the numbers that are given out: two kernels that serve the same Services are equal as values.

Ids become the names of Service ports, classes the names of chains, slots the endpoints; pick chains that nothing leads to are left
out, since the agent keeps some for later.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.support.simulator.nftables.references import jumps

from proxyconfig_agent.checks.walker.nftables.tables import Element, Table
from proxyconfig_agent.netlink.frames import attributes
from proxyconfig_agent.netlink.nftables.userdata import comment_in

_ID, _LOW, _TAG = 0x7FFFC000, 0x3FFF, 0x80000000
_WORDS = {
    "services": ("", "class"),
    "nodeports": ("", "class"),
    "cluster-lists": ("id", "class"),
    "local-lists": ("id", "class"),
    "endpoints": ("id", ""),
    "sticky-lists": ("id", "slot"),
    "sticky-endpoints": ("slot", ""),
    "sticky-local-endpoints": ("slot", ""),
}
"""Where elements have service words in front of their keys, and as values; and what the lower bits of those say."""

State = dict[str, object]
"""By kind and name of the object, for each table."""


def state_of(kernel: SimulatedKernel) -> State:
    """Everything that packets or administrators could notice."""
    state: State = {}
    for (family, name), table in kernel.tables.items():
        for words, content in _Canonical(table).contents():
            state[f"{family} {name} {words}"] = content
    return state


@dataclass
class _Canonical:
    table: Table

    def __post_init__(self) -> None:
        self._names: dict[int, str] = {}
        for name, protocol_at in (("services", -8), ("nodeports", 0)):
            for element in self._elements(name):
                self._names[_word(element.value) & _ID] = f"{_comment(element)}/{element.key[protocol_at]}"
        self._chains = {_word(element.key): element.verdict.chain for element in self._elements("classes") if element.verdict}
        self._endpoints = {
            (name, _word(element.key)): element.value.hex()
            for name in ("sticky-endpoints", "sticky-local-endpoints")
            for element in self._elements(name)
        }

    def contents(self) -> Iterator[tuple[str, object]]:
        used = self._reachable()
        for name, chain in self.table.chains.items():
            if name in used:
                comments = [_comment_of(dict(attributes(rule.payload)).get(7, b"")) for rule in chain.rules]
                rules = list(zip([rule.expressions for rule in chain.rules], comments, strict=True))
                yield f"chain {name}", (chain.kind, chain.hook, chain.priority, rules)
        for name, held in self.table.sets.items():
            shape = held.flags, held.key_length, held.value_length, held.size, held.fields
            yield f"set {name}", (shape, {content for each in held.elements.values() for content in self._content(name, each, used)})

    def _content(self, name: str, element: Element, used: set[str]) -> Iterator[tuple[object, ...]]:
        if name in ("classes", "picks"):
            if element.verdict and element.verdict.chain in used:
                yield (element.verdict,)
            return
        key_words, value_words = _WORDS.get(name, ("", ""))
        key = (self._meaning(element.key, key_words, name), element.key[4:]) if key_words else element.key
        value = self._meaning(element.value, value_words, _of_list(element.key)) if value_words else element.value
        yield key, element.end, value, element.verdict, _comment(element)

    def _meaning(self, octets: bytes, low: str, endpoints: str) -> str:
        word = _word(octets)
        name = self._names.get(word & _ID, f"nobody's id {word >> 14 & 0x1FFFF}")
        match low:
            case "class":
                return f"{name} {self._chains[word & _LOW]}"
            case "slot":
                return f"{name} {self._endpoints[endpoints, word]}"
            case _:
                return name

    def _reachable(self) -> set[str]:
        """Base chains, and the chains that packets can come to from there; pick chains by the classes that Services have."""
        found: set[str] = set()
        waiting = [name for name, chain in self.table.chains.items() if chain.hook is not None]
        waiting += [chain for name in ("services", "nodeports", "cluster-lists", "local-lists") for chain in self._classes_in(name)]
        waiting += ["class", "pick", "external", "external-local"]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [where for rule in self.table.chains[name].rules for where in jumps(rule.expressions)]
        return found

    def _classes_in(self, name: str) -> list[str]:
        return [self._chains[_word(element.value) & _LOW] for element in self._elements(name)]

    def _elements(self, name: str) -> list[Element]:
        return list(self.table.sets[name].elements.values()) if name in self.table.sets else []


def _of_list(key: bytes) -> str:
    """The set that has the endpoints of a list: local lists begin at index 32768."""
    return "sticky-local-endpoints" if len(key) == 8 and struct.unpack("=I", key[4:])[0] >= 32768 else "sticky-endpoints"


def _word(octets: bytes) -> int:
    return int(struct.unpack_from("=I", octets)[0])


def _comment(element: Element) -> str:
    return _comment_of(dict(attributes(element.octets)).get(6, b""))


def _comment_of(userdata: bytes) -> str:
    return comment_in(userdata)
