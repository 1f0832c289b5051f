"""Executes rules: registers, one expression after the other, until a verdict. As net/netfilter/nf_tables_core.c and nft_*.c do it.

A rule meets thousands of packets: what its attributes say is read once, into a function for each expression.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import cache

from tests.support.simulator.nftables import expressions as x
from tests.support.simulator.nftables.expressions import Expression, Jump
from tests.support.simulator.nftables.tables import Chain, Set, Table

from proxyconfig_agent.checks.walker.path import Passage

REJECT = Jump(-100)
"""Drop, and tell the sender."""
_ACCEPT = Jump(x.ACCEPT)
_BREAK = Jump(-2)
"""NFT_BREAK: the rule ends, the next one follows."""
_DEEPEST = 16

_LOCAL, _UNICAST = struct.pack("=I", 2), struct.pack("=I", 1)


class Machine:
    """One packet in one base chain. Each has a new machine, so registers begin empty."""

    def __init__(self, table: Table, passage: Passage) -> None:
        self.table = table
        self.passage = passage
        self.packet = passage.packet
        self._headers: tuple[bytes, bytes] | None = None
        self._registers = bytearray(64)
        self._written = 0
        """A bit for each of their words."""

    def run(self, chain: Chain) -> Jump:
        """The verdict of a base chain: DROP, REJECT or ACCEPT. The policy is to accept."""
        return self._chain(chain, 0) or _ACCEPT

    def _chain(self, chain: Chain, depth: int) -> Jump | None:
        """None at the end of the chain, or after RETURN."""
        assert depth < _DEEPEST, "chains lead too deep"
        for rule in chain.rules:
            verdict = self._rule(_steps(rule.expressions))
            if verdict is None:
                continue
            match verdict.code:
                case x.JUMP:
                    if verdict := self._chain(self.table.chains[verdict.chain], depth + 1):
                        return verdict
                case x.GOTO:
                    return self._chain(self.table.chains[verdict.chain], depth)
                case x.RETURN:
                    return None
                case _:
                    return verdict
        return None

    def _rule(self, steps: tuple[Step, ...]) -> Jump | None:
        """None if the next rule follows."""
        for step in steps:
            verdict = step(self)
            if verdict is not None:
                return None if verdict is _BREAK or verdict.code == x.CONTINUE else verdict
        return None

    @property
    def headers(self) -> tuple[bytes, bytes]:
        """Of the network and the transport layer, as they are until the packet is translated, which ends the chain."""
        if self._headers is None:
            self._headers = self.packet.network_header, self.packet.transport_header
        return self._headers

    def load(self, word: int, length: int) -> bytes:
        wanted = _bits(word, length)
        assert self._written & wanted == wanted, f"word {word} of the registers is read before anything is in it"
        return bytes(self._registers[4 * word : 4 * word + length])

    def store(self, word: int, octets: bytes) -> None:
        length = len(octets)
        padded = octets if length % 4 == 0 else octets + bytes(-length % 4)
        self._registers[4 * word : 4 * word + len(padded)] = padded
        self._written |= _bits(word, length)

    def find(self, name: str, held: Set, key: bytes) -> bytes | Jump | None:
        """What is remembered stands beside the elements."""
        if (remembered := self.passage.memory.get((name, key))) is not None:
            return remembered
        element = held.find(key)
        return None if element is None else element.verdict or element.value


Step = Callable[[Machine], Jump | None]
"""What an expression does to registers, packet and memory; the verdict if it has one."""


@cache
def _steps(expressions: bytes) -> tuple[Step, ...]:
    return tuple(_READERS[expression.name](expression) for expression in x.decode(expressions))


def _payload(expression: Expression) -> Step:
    into, header, offset = _word(expression, 1), {1: 0, 2: 1}[expression.number(2)], expression.number(3)
    end = offset + expression.number(4)
    return lambda machine: machine.store(into, machine.headers[header][offset:end])


def _meta(expression: Expression) -> Step:
    key = expression.number(2)
    if expression.has(3):
        name, source = _SETTABLE[key], _word(expression, 3)
        return lambda machine: setattr(machine.packet, name, struct.unpack("=I", machine.load(source, 4))[0])
    of, into = _META[key], _word(expression, 1)
    return lambda machine: machine.store(into, of(machine.passage))


def _ct(expression: Expression) -> Step:
    into, state = _word(expression, 1), {0: True, 2: False}[expression.number(2)]

    def value(machine: Machine) -> int:
        """The state is NEW: this is a connection's first packet."""
        return 8 if state else 32 * machine.packet.translated

    return lambda machine: machine.store(into, struct.pack("=I", value(machine)))


def _lookup(expression: Expression) -> Step:
    name, key, inverted = expression.text(1), _word(expression, 2), bool(expression.number(5) & 1)
    to_verdict, into = expression.number(3) == 0, _word(expression, 3) if expression.has(3) else -1

    def step(machine: Machine) -> Jump | None:
        held = machine.table.sets[name]
        found = machine.find(name, held, machine.load(key, held.key_length))
        if inverted:
            return _BREAK if found is not None else None
        if found is None:
            return _BREAK
        if isinstance(found, Jump):
            assert to_verdict
            return found
        if into >= 0:
            machine.store(into, found)
        return None

    return step


def _dynset(expression: Expression) -> Step:
    name, delete, at = expression.text(1), expression.number(3) == 2, _word(expression, 4)
    source = _word(expression, 5) if expression.has(5) else -1

    def step(machine: Machine) -> Jump | None:
        held, memory = machine.table.sets[name], machine.passage.memory
        key = machine.load(at, held.key_length)
        if delete:
            memory.pop((name, key), None)
            return None
        value = machine.load(source, held.value_length) if source >= 0 else b""
        if held.size and (name, key) not in memory and sum(of == name for of, _ in memory) >= held.size:
            return _BREAK
        memory.setdefault((name, key), value)
        return None

    return step


def _bitwise(expression: Expression) -> Step:
    source, into, length = _word(expression, 1), _word(expression, 2), expression.number(3)
    mask, xor = (int.from_bytes(expression.value(kind)) for kind in (4, 5))
    return lambda machine: machine.store(into, (int.from_bytes(machine.load(source, length)) & mask ^ xor).to_bytes(length))


def _cmp(expression: Expression) -> Step:
    value, source, equal = expression.value(3), _word(expression, 1), {0: True, 1: False}[expression.number(2)]
    length = len(value)
    return lambda machine: None if (machine.load(source, length) == value) is equal else _BREAK


def _immediate(expression: Expression) -> Step:
    if expression.number(1) == 0:
        verdict = expression.verdict(2)
        return lambda _: verdict
    into, value = _word(expression, 1), expression.value(2)
    return lambda machine: machine.store(into, value)


def _fib(expression: Expression) -> Step:
    assert expression.number(2) == 3, "only `fib … type` is known here"
    into, source = _word(expression, 1), {1: True, 2: False}[expression.number(3)]

    def step(machine: Machine) -> None:
        address = machine.packet.source if source else machine.packet.destination
        machine.store(into, _LOCAL if machine.passage.node.is_local(address) else _UNICAST)

    return step


def _nat(expression: Expression) -> Step:
    assert expression.number(1) == 1, "only destinations are translated here"
    address, port = _word(expression, 3), _word(expression, 5)

    def step(machine: Machine) -> Jump:
        packet = machine.packet
        packet.asked_for = packet.destination + packet.port.to_bytes(2)
        packet.destination = machine.load(address, len(packet.destination))
        packet.port = int.from_bytes(machine.load(port, 2))
        packet.translated = True
        return _ACCEPT

    return step


def _masq(_: Expression) -> Step:
    def step(machine: Machine) -> Jump:
        machine.packet.masqueraded = True
        return _ACCEPT

    return step


def _reject(_: Expression) -> Step:
    return lambda _: REJECT


def _numgen(expression: Expression) -> Step:
    assert expression.number(3) == 1, "only random numbers are known here"
    into, below, first = _word(expression, 1), expression.number(2), expression.number(4)
    return lambda machine: machine.store(into, struct.pack("=I", machine.passage.choices.evenly(below) + first))


_READERS: Mapping[str, Callable[[Expression], Step]] = {
    reader.__name__.removeprefix("_"): reader
    for reader in (_payload, _meta, _ct, _lookup, _dynset, _bitwise, _cmp, _immediate, _fib, _nat, _masq, _reject, _numgen)
}
_SETTABLE = {2: "priority", 3: "mark"}
_META: Mapping[int, Callable[[Passage], bytes]] = {
    2: lambda passage: struct.pack("=I", passage.packet.priority),
    3: lambda passage: struct.pack("=I", passage.packet.mark),
    6: lambda passage: passage.packet.came_in.encode().ljust(16, b"\0"),
    7: lambda passage: passage.packet.goes_out.encode().ljust(16, b"\0"),
    16: lambda passage: bytes((passage.packet.protocol, 0, 0, 0)),
}


def _word(expression: Expression, kind: int) -> int:
    """The first word of the register that an attribute names: NFT_REG_1 to 4 are four words each, NFT_REG32_00 to 15 one."""
    register = expression.number(kind)
    return 4 * (register - 1) if register < 8 else register - 8


@cache
def _bits(word: int, length: int) -> int:
    """A bit for each of the words that are so many bytes from this one on."""
    return ((1 << (length + 3) // 4) - 1) << word
