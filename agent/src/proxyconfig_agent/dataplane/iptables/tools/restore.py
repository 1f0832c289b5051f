"""The input of one `iptables-restore --noflush` for one family, put together from edits. Pure.

Each table of it takes effect at once, one after the other:

1. what is new in table filter: refusals are there before the translation to endpoints ends;
2. table nat;
3. what goes in table filter: refusals end after the translation to endpoints has begun;
4. table mangle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from proxyconfig_agent.dataplane.iptables.delta import Edits
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table


class _Block:
    """What goes between `*table` and `COMMIT`. As bytes: at a cold start it is all rules of a node."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.chains, self.rules, self.deletions = bytearray(), bytearray(), bytearray()

    def __bool__(self) -> bool:
        return bool(self.chains or self.rules or self.deletions)

    def taken(self) -> bytes:
        """What has been added since the last time, which is not in `text` any more."""
        given = bytes(self.chains + self.rules)
        self.chains.clear()
        self.rules.clear()
        return given

    def text(self) -> Iterator[bytes | bytearray]:
        yield f"*{self.table.value}\n".encode()
        yield self.chains
        yield self.rules
        yield self.deletions
        yield b"COMMIT\n"


class Input:
    """Collects edits. `on_top`: the chains whose last rules have to stay last, so that what is added goes on top."""

    def __init__(self, on_top: Collection[Chain], written: Counter[Table] | None = None) -> None:
        """`written` counts rules."""
        self._on_top = on_top
        self._written = Counter[Table]() if written is None else written
        self._new, self._nat, self._old, self._mangle = (_Block(table) for table in (Table.FILTER, Table.NAT, Table.FILTER, Table.MANGLE))
        self.operations = 0

    def add(self, edits: Edits) -> None:
        """Edits that concern no chain of those before."""
        self._written.update(chain.table for chain, _ in edits.added)
        for chain, rules in edits.chains.items():
            self._written[chain.table] += len(rules)
            block = self._block(chain)
            block.chains += _declared(chain)
            for rule in rules:
                block.rules += f"-A {chain.name} {rule}\n".encode()
        for chain, rule in edits.removed:
            self._block(chain, goes=True).rules += f"-D {chain.name} {rule}\n".encode()
        for chain, rule in edits.added:
            if chain not in self._on_top:
                self._block(chain).rules += f"-A {chain.name} {rule}\n".encode()
        for chain, rule in reversed(edits.added):
            if chain in self._on_top:
                self._block(chain).rules += f"-I {chain.name} 1 {rule}\n".encode()
        for chain, rule in edits.jumps:
            self._block(chain).rules += f"-I {chain.name} 1 {rule}\n".encode()
        for chain in edits.gone:
            block = self._block(chain, goes=True)
            block.chains += _declared(chain)
            block.deletions += f"-X {chain.name}\n".encode()
        self.operations += len(edits)

    @property
    def commits(self) -> int:
        """How many tables are committed."""
        return sum(1 for _ in self._blocks())

    def text(self) -> Iterator[bytes | bytearray]:
        for block in self._blocks():
            yield from block.text()

    def text_while(self, growing: Iterable[object]) -> Iterator[bytes]:
        """The input of a node that has nothing yet, made while `growing` adds edits: table nat first, as there is most of it."""
        yield b"*nat\n"
        for _ in growing:
            yield self._nat.taken()
        yield self._nat.taken()
        yield b"COMMIT\n"
        yield from map(bytes, self.text())

    def _blocks(self) -> Iterator[_Block]:
        return filter(None, (self._new, self._nat, self._old, self._mangle))

    def _block(self, chain: Chain, *, goes: bool = False) -> _Block:
        match chain.table:
            case Table.FILTER:
                return self._old if goes else self._new
            case Table.NAT:
                return self._nat
            case Table.MANGLE:
                return self._mangle


def _declared(chain: Chain) -> bytes:
    """Makes the chain, or empties it."""
    return f":{chain.name} - [0:0]\n".encode()
