"""Values to messages: what a transaction says to the kernel, in the order in which it has to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from proxyconfig_agent.dataplane.tables.kernel.actual import ActualTable
from proxyconfig_agent.dataplane.tables.model.elements import encoded, encoded_key
from proxyconfig_agent.dataplane.tables.model.ruleset import Chain, Container, Elements
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables import userdata
from proxyconfig_agent.netlink.nftables.messages import Kind, Message, Table

COMMENT = "rules of proxyconfig"


def deleted(table: Table, groups: Sequence[Elements]) -> Iterator[Message]:
    for name, elements in _by_set(groups):
        yield from wire.element_messages(Kind.DELETE_ELEMENTS, table, name, (encoded_key(*element) for element in elements))


def added(table: Table, groups: Sequence[Elements]) -> Iterator[Message]:
    for name, elements in _by_set(groups):
        yield from wire.element_messages(Kind.NEW_ELEMENTS, table, name, encoded(elements))


def _by_set(groups: Sequence[Elements]) -> Iterator[tuple[str, Iterator[tuple[bytes, bytes]]]]:
    """The elements of all groups, set by set."""
    for name in dict.fromkeys(name for elements in groups for name in elements):
        yield name, chain.from_iterable(elements[name].items() for elements in groups if name in elements)


def structure(
    table: Table, held: ActualTable | None, containers: Mapping[str, Container], chains: Mapping[str, Chain]
) -> Iterator[Message]:
    """What is missing or different of sets, chains and rules. Only chains whose rules differ are written."""
    if held is None or not held.awake:
        yield wire.new_table(table, userdata.comment(COMMENT))
    held = held or ActualTable(awake=True)
    for number, (name, container) in enumerate(containers.items(), 1):
        if name not in held.containers:
            yield _new_set(table, name, container, number)
    yield from repaired(table, held, chains)


def repaired(table: Table, held: ActualTable, chains: Mapping[str, Chain]) -> Iterator[Message]:
    """What is missing or different of chains and rules."""
    for name, wanted in chains.items():
        if name not in held.chains:
            yield _new_chain(table, name, wanted)
    for name, wanted in chains.items():
        have = held.chains.get(name)
        if have is None:
            yield from _rules(table, name, wanted)
        elif not have.has_rules_of(wanted):
            yield from rewritten(table, name, wanted)


def rewritten(table: Table, name: str, wanted: Chain) -> Iterator[Message]:
    """Other rules for a chain that exists."""
    yield wire.delete_rules(table, name)
    yield from _rules(table, name, wanted)


def foreign(table: Table, held: ActualTable, containers: Mapping[str, Container], chains: Mapping[str, Chain]) -> Iterator[Message]:
    """Take foreign objects out of our table."""
    strangers = [name for name in held.chains if name not in chains]
    for name in strangers:
        yield wire.delete_rules(table, name)
    for name in strangers:
        yield wire.delete_chain(table, name)
    for name in held.containers:
        if name not in containers:
            yield wire.delete_set(table, name)


def _new_chain(table: Table, name: str, wanted: Chain) -> Message:
    if wanted.hook is None:
        return wire.new_chain(table, name)
    return wire.new_base_chain(table, name, wanted.hook.kind, wanted.hook.number, wanted.hook.priority)


def _new_set(table: Table, name: str, container: Container, number: int) -> Message:
    return wire.new_set(
        table,
        name,
        flags=container.flags,
        key=container.key,
        value=container.value,
        fields=container.fields,
        size=container.size,
        userdata=container.userdata,
        identifier=number,
    )


def _rules(table: Table, name: str, wanted: Chain) -> Iterator[Message]:
    for rule in wanted.rules:
        yield wire.new_rule(table, name, rule.expressions, userdata.comment(rule.comment) if rule.comment else b"")
