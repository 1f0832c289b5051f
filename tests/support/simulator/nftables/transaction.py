"""What one transaction makes of the tables, message by message, refusing what nf_tables_api.c refuses."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar

from msgspec.structs import replace
from tests.support.simulator.nftables.references import is_led_to, is_used, jumps, sets_used

from proxyconfig_agent.checks.walker.nftables.tables import Element, Rule, Set, Table, chain_of, element_of, set_of
from proxyconfig_agent.netlink import frames, uapi
from proxyconfig_agent.netlink.frames import text_of
from proxyconfig_agent.netlink.nftables.connection import KernelError
from proxyconfig_agent.netlink.nftables.messages import Kind, Message

_CREATE, _APPEND = 0x400, 0x800

Name = tuple[int, str]
"""Of a table: family and name."""
Attributes = Mapping[int, bytes]
V = TypeVar("V")


class Transaction:
    """What the tables will be. Whatever is changed is copied first, so what was before stays as it was."""

    def __init__(self, tables: Mapping[Name, Table]) -> None:
        self.tables = dict(tables)
        self._own: set[int] = set()

    def take(self, message: Message) -> None:
        """Raises KernelError."""
        _HANDLERS[message.kind](self, message, dict(frames.attributes(message.payload)))

    def _new_table(self, message: Message, attributes: Attributes) -> None:
        self.tables.setdefault(_name(message, attributes), Table(message.payload))

    def _delete_table(self, message: Message, attributes: Attributes) -> None:
        if self.tables.pop(_name(message, attributes), None) is None:
            raise KernelError(errno.ENOENT, message.about)

    def _new_chain(self, message: Message, attributes: Attributes) -> None:
        table, name, wanted = self._table(message, attributes), text_of(attributes[3]), chain_of(message.payload)
        held = table.chains.setdefault(name, wanted)
        if (held.kind, held.hook, held.priority) != (wanted.kind, wanted.hook, wanted.priority):
            raise KernelError(errno.EEXIST, message.about)

    def _delete_chain(self, message: Message, attributes: Attributes) -> None:
        table, name = self._table(message, attributes), text_of(attributes[3])
        _existing(table.chains, name, message)
        if is_led_to(table, name):
            raise KernelError(errno.EBUSY, message.about)
        del table.chains[name]

    def _new_rule(self, message: Message, attributes: Attributes) -> None:
        assert message.flags & (_CREATE | _APPEND) == _CREATE | _APPEND, "rules are only appended here"
        table, name, octets = self._table(message, attributes), text_of(attributes[2]), attributes[4]
        chain = _existing(table.chains, name, message)
        for where in jumps(octets):
            _existing(table.chains, where, message)
        for used in sets_used(octets):
            _existing(table.sets, used, message)
        table.chains[name] = replace(chain, rules=(*chain.rules, Rule(octets, message.payload)))

    def _delete_rules(self, message: Message, attributes: Attributes) -> None:
        table, name = self._table(message, attributes), text_of(attributes[2])
        table.chains[name] = replace(_existing(table.chains, name, message), rules=())

    def _new_set(self, message: Message, attributes: Attributes) -> None:
        table, name, wanted = self._table(message, attributes), text_of(attributes[2]), set_of(message.payload)
        held = table.sets.setdefault(name, wanted)
        if (held.flags, held.key_length, held.value_length) != (wanted.flags, wanted.key_length, wanted.value_length):
            raise KernelError(errno.EEXIST, message.about)

    def _delete_set(self, message: Message, attributes: Attributes) -> None:
        table, name = self._table(message, attributes), text_of(attributes[2])
        _existing(table.sets, name, message)
        if is_used(table, name):
            raise KernelError(errno.EBUSY, message.about)
        del table.sets[name]

    def _new_elements(self, message: Message, attributes: Attributes) -> None:
        table, into = self._set(message, attributes)
        for _, payload in frames.attributes(attributes[3]):
            element = _element_of(payload)
            if element.verdict and element.verdict.chain:
                _existing(table.chains, element.verdict.chain, message)
            if len(element.key) != into.key_length or (element.value and len(element.value) != into.value_length):
                raise KernelError(errno.EINVAL, message.about)
            held = _overlapping(into, element)
            if held and _mapping(held) != _mapping(element):
                raise KernelError(errno.EEXIST, message.about)
            if not held and into.size and len(into.elements) >= into.size:
                raise KernelError(errno.ENFILE, message.about)
            into.elements.setdefault(element.key, element)

    def _delete_elements(self, message: Message, attributes: Attributes) -> None:
        _, of = self._set(message, attributes)
        for _, payload in frames.attributes(attributes[3]):
            element = _element_of(payload)
            held = of.elements.get(element.key)
            if held is None or held.end != element.end:
                raise KernelError(errno.ENOENT, message.about)
            del of.elements[element.key]

    def _table(self, message: Message, attributes: Attributes) -> Table:
        """A table that may be changed."""
        name = _name(message, attributes)
        table = _existing(self.tables, name, message)
        if id(table) not in self._own:
            self.tables[name] = table = Table(table.payload, dict(table.chains), dict(table.sets))
            self._own.add(id(table))
        return table

    def _set(self, message: Message, attributes: Attributes) -> tuple[Table, Set]:
        """A set that may be changed, and its table."""
        table, name = self._table(message, attributes), text_of(attributes[2])
        found = _existing(table.sets, name, message)
        if id(found) not in self._own:
            table.sets[name] = found = replace(found, elements=dict(found.elements))
            self._own.add(id(found))
        return table, found


_HANDLERS: Mapping[Kind, Callable[[Transaction, Message, Attributes], None]] = {
    Kind.NEW_TABLE: Transaction._new_table,
    Kind.DELETE_TABLE: Transaction._delete_table,
    Kind.NEW_CHAIN: Transaction._new_chain,
    Kind.DELETE_CHAIN: Transaction._delete_chain,
    Kind.NEW_RULE: Transaction._new_rule,
    Kind.DELETE_RULE: Transaction._delete_rules,
    Kind.NEW_SET: Transaction._new_set,
    Kind.DELETE_SET: Transaction._delete_set,
    Kind.NEW_ELEMENTS: Transaction._new_elements,
    Kind.DELETE_ELEMENTS: Transaction._delete_elements,
}


def _name(message: Message, attributes: Attributes) -> Name:
    return message.family, text_of(attributes[1])


def _existing(mapping: Mapping[str, V] | Mapping[Name, V], key: object, message: Message) -> V:
    found: V | None = mapping.get(key)  # type: ignore[call-overload]
    if found is None:
        raise KernelError(errno.ENOENT, message.about)
    return found


@cache
def _element_of(octets: bytes) -> Element:
    return element_of(octets)


def _mapping(element: Element) -> tuple[object, ...]:
    return element.key, element.end, element.value, element.verdict


def _overlapping(of: Set, element: Element) -> Element | None:
    """An element that has a key in common with this one."""
    if not of.flags & uapi.NFT_SET_INTERVAL:
        return of.elements.get(element.key)
    return next((other for other in of.elements.values() if _meet(of, element, other)), None)


def _meet(of: Set, one: Element, other: Element) -> bool:
    return all(one.key[at] <= (other.end or other.key)[at] and other.key[at] <= (one.end or one.key)[at] for at in of.places())
