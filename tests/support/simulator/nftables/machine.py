"""Executes rules: registers, one expression after the other, until a verdict. As net/netfilter/nf_tables_core.c and nft_*.c do it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from tests.support.simulator.nftables import expressions as x
from tests.support.simulator.nftables.expressions import Expression, Jump
from tests.support.simulator.nftables.tables import Chain, Set, Table

from proxyconfig_agent.walker.path import Passage

REJECT = Jump(-100)
"""Drop, and tell the sender."""
_BREAK = Jump(-2)
"""NFT_BREAK: the rule ends, the next one follows."""
_DEEPEST = 16

_MARK_MASK = 0xFFFFFFFF
_LOCAL, _UNICAST = 2, 1


class Machine:
    """One packet in one base chain. Each has a new machine, so registers begin empty."""

    def __init__(self, table: Table, passage: Passage) -> None:
        self._table = table
        self._passage = passage
        self._packet = passage.packet
        self._registers: list[bytes | None] = [None] * 16

    def run(self, chain: Chain) -> Jump:
        """The verdict of a base chain: DROP, REJECT or ACCEPT. The policy is to accept."""
        verdict = self._chain(chain, 0)
        return Jump(x.ACCEPT) if verdict.code in (x.CONTINUE, x.RETURN) else verdict

    def _chain(self, chain: Chain, depth: int) -> Jump:
        """CONTINUE at the end of the chain, or RETURN."""
        assert depth < _DEEPEST, "chains lead too deep"
        for rule in chain.rules:
            verdict = self._rule(x.decode(rule.expressions))
            match verdict.code:
                case x.JUMP:
                    verdict = self._chain(self._table.chains[verdict.chain], depth + 1)
                    if verdict.code not in (x.CONTINUE, x.RETURN):
                        return verdict
                case x.GOTO:
                    return self._chain(self._table.chains[verdict.chain], depth)
                case x.CONTINUE:
                    pass
                case _:
                    return verdict
        return Jump(x.CONTINUE)

    def _rule(self, rule: tuple[Expression, ...]) -> Jump:
        for expression in rule:
            verdict = _EXECUTE[expression.name](self, expression)
            if verdict is _BREAK:
                return Jump(x.CONTINUE)
            if verdict is not None and verdict.code != x.CONTINUE:
                return verdict
        return Jump(x.CONTINUE)

    def _load(self, register: int, length: int) -> bytes:
        first = _index(register)
        words = self._registers[first : first + (length + 3) // 4]
        assert None not in words, f"register {register} is read before anything is in it"
        return b"".join(word for word in words if word is not None)[:length]

    def _store(self, register: int, octets: bytes) -> None:
        first = _index(register)
        for at in range(0, len(octets), 4):
            self._registers[first + at // 4] = octets[at : at + 4].ljust(4, b"\0")

    def _payload(self, expression: Expression) -> None:
        header = {1: self._packet.network_header, 2: self._packet.transport_header}[expression.number(2)]
        offset, length = expression.number(3), expression.number(4)
        self._store(expression.number(1), header[offset : offset + length])

    def _meta(self, expression: Expression) -> None:
        key = expression.number(2)
        if expression.has(3):
            (value,) = struct.unpack("=I", self._load(expression.number(3), 4))
            setattr(self._packet, _SETTABLE[key], value)
        else:
            self._store(expression.number(1), _META[key](self._passage))

    def _ct(self, expression: Expression) -> None:
        status = 32 if self._packet.translated else 0
        values = {0: 8, 2: status}  # the state is NEW: this is a connection's first packet
        self._store(expression.number(1), struct.pack("=I", values[expression.number(2)]))

    def _lookup(self, expression: Expression) -> Jump | None:
        name = expression.text(1)
        held = self._table.sets[name]
        found = self._find(name, held, self._load(expression.number(2), held.key_length))
        if expression.number(5) & 1:
            return _BREAK if found is not None else None
        if found is None:
            return _BREAK
        if isinstance(found, Jump):
            assert expression.number(3) == 0
            return found
        if expression.has(3):
            self._store(expression.number(3), found)
        return None

    def _find(self, name: str, held: Set, key: bytes) -> bytes | Jump | None:
        """What is remembered stands beside the elements."""
        if (name, key) in self._passage.memory:
            return self._passage.memory[name, key]
        element = held.find(key)
        return None if element is None else element.verdict or element.value

    def _dynset(self, expression: Expression) -> Jump | None:
        name, operation = expression.text(1), expression.number(3)
        held, memory = self._table.sets[name], self._passage.memory
        key = self._load(expression.number(4), held.key_length)
        if operation == 2:
            memory.pop((name, key), None)
            return None
        value = self._load(expression.number(5), held.value_length) if expression.has(5) else b""
        if held.size and (name, key) not in memory and sum(of == name for of, _ in memory) >= held.size:
            return _BREAK
        memory.setdefault((name, key), value)
        return None

    def _bitwise(self, expression: Expression) -> None:
        octets, mask, xor = self._load(expression.number(1), expression.number(3)), expression.value(4), expression.value(5)
        self._store(expression.number(2), bytes(octet & keep ^ flip for octet, keep, flip in zip(octets, mask, xor, strict=True)))

    def _cmp(self, expression: Expression) -> Jump | None:
        value = expression.value(3)
        same = self._load(expression.number(1), len(value)) == value
        return None if same == {0: True, 1: False}[expression.number(2)] else _BREAK

    def _immediate(self, expression: Expression) -> Jump | None:
        if expression.number(1) == 0:
            return expression.verdict(2)
        self._store(expression.number(1), expression.value(2))
        return None

    def _fib(self, expression: Expression) -> None:
        assert expression.number(2) == 3, "only `fib … type` is known here"
        address = {1: self._packet.source, 2: self._packet.destination}[expression.number(3)]
        self._store(expression.number(1), struct.pack("=I", _LOCAL if self._passage.node.is_local(address) else _UNICAST))

    def _nat(self, expression: Expression) -> Jump:
        assert expression.number(1) == 1, "only destinations are translated here"
        self._packet.asked_for = self._packet.destination + self._packet.port.to_bytes(2)
        self._packet.destination = self._load(expression.number(3), len(self._packet.destination))
        self._packet.port = int.from_bytes(self._load(expression.number(5), 2))
        self._packet.translated = True
        return Jump(x.ACCEPT)

    def _masq(self, _: Expression) -> Jump:
        self._packet.masqueraded = True
        return Jump(x.ACCEPT)

    def _reject(self, _: Expression) -> Jump:
        return REJECT

    def _numgen(self, expression: Expression) -> None:
        assert expression.number(3) == 1, "only random numbers are known here"
        chosen = self._passage.choices.evenly(expression.number(2)) + expression.number(4)
        self._store(expression.number(1), struct.pack("=I", chosen))


_EXECUTE: Mapping[str, Callable[[Machine, Expression], Jump | None]] = {
    name: getattr(Machine, f"_{name}")
    for name in ("payload", "meta", "ct", "lookup", "dynset", "bitwise", "cmp", "immediate", "fib", "nat", "masq", "reject", "numgen")
}
_SETTABLE = {2: "priority", 3: "mark"}
_META: Mapping[int, Callable[[Passage], bytes]] = {
    2: lambda passage: struct.pack("=I", passage.packet.priority),
    3: lambda passage: struct.pack("=I", passage.packet.mark),
    6: lambda passage: passage.packet.came_in.encode().ljust(16, b"\0"),
    7: lambda passage: passage.packet.goes_out.encode().ljust(16, b"\0"),
    16: lambda passage: bytes((passage.packet.protocol, 0, 0, 0)),
}


def _index(register: int) -> int:
    """NFT_REG_1 to 4 are four words each, NFT_REG32_00 to 15 one."""
    return 4 * (register - 1) if register < 8 else register - 8
