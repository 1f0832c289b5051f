"""nf_tables as far as the agent speaks to it: takes its messages, strictly and all or nothing, and prints back what it holds."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping

from tests.support.simulator.nftables.transaction import Name, Transaction

from proxyconfig_agent.checks.walker.nftables.tables import Set, Table
from proxyconfig_agent.netlink import frames
from proxyconfig_agent.netlink.frames import attribute, nested, text, text_of
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Kind, Message

_AT_A_TIME = 50


class SimulatedKernel(Connection):
    """Stands where the netlink socket would. `before_commit` is called before every transaction, and makes it fail by what it raises;
    `after_commit` is called after those that did not fail. `capacity`: the bytes of one transaction, as the agent reads them."""

    def __init__(self, capacity: int = 16 << 20) -> None:
        self.tables: dict[Name, Table] = {}
        self.before_commit: Callable[[], None] = _nothing
        self.after_commit: Callable[[], None] = _nothing
        self._capacity = capacity
        self._generation = 1

    @property
    def capacity(self) -> int:
        return self._capacity

    def close(self) -> None:
        pass

    def generation(self) -> int:
        return self._generation

    def commit(self, messages: Iterable[Message], *, keep: bool = True) -> int:
        listed = list(messages)
        if not listed:
            return 0
        if keep:
            self.before_commit()
        transaction = Transaction(self.tables)
        for message in listed:
            transaction.take(message)
        if keep:
            self.tables = transaction.tables
            self._generation += 1
            self.after_commit()
        return len(listed)

    def get(self, kind: Kind, family: int, payload: bytes) -> bytes | None:
        assert kind is Kind.GET_TABLE, kind
        table = self.tables.get((family, text_of(dict(frames.attributes(payload))[1])))
        return table.payload if table else None

    def dump(self, kind: Kind, family: int, payload: bytes) -> list[bytes]:
        attributes = dict(frames.attributes(payload))
        name = (family, text_of(attributes[1]))
        table = self.tables.get(name)
        if table is None:
            raise KernelError(errno.ENOENT, f"a {kind.name.lower()} request")
        match kind:
            case Kind.GET_CHAIN:
                return [chain.payload for chain in table.chains.values()]
            case Kind.GET_RULE:
                return [rule.payload for chain in table.chains.values() for rule in chain.rules]
            case Kind.GET_SET:
                return [each.payload for each in table.sets.values()]
            case Kind.GET_ELEMENTS:
                return list(_printed(name, text_of(attributes[2]), table.sets))
            case _:
                raise NotImplementedError(kind)

    def stream(self, kind: Kind, family: int, payload: bytes) -> Iterator[bytes]:
        yield from self.dump(kind, family, payload)


def _printed(table: Name, name: str, sets: Mapping[str, Set]) -> Iterator[bytes]:
    """The elements of a set, some per message. Like the kernel's, without nested flags inside."""
    elements = [attribute(1, element.octets) for element in sets[name].elements.values()]
    for at in range(0, len(elements), _AT_A_TIME):
        yield text(1, table[1]) + text(2, name) + nested(3, *elements[at : at + _AT_A_TIME])


def _nothing() -> None:
    pass
