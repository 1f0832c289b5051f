"""The kernel's table to values. The only reader; it writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxyconfig_agent.dataplane.nftables.kernel.actual import ActualTable, HeldChain, HeldContainer, HeldElements
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.elements import decoded
from proxyconfig_agent.dataplane.nftables.model.ruleset import Hook
from proxyconfig_agent.dataplane.nftables.model.service_mark import id_in
from proxyconfig_agent.netlink.nftables.attributes import parse
from proxyconfig_agent.netlink.nftables.connection import Connection
from proxyconfig_agent.netlink.nftables.messages import Kind, Table, query

_ACCEPT = 1


def held(connection: Connection, table: Table) -> ActualTable | None:
    """Chains, rules and sets of a table; None if there is no such table. Raises KernelError."""
    found = connection.get(Kind.GET_TABLE, table.family, query(table))
    if found is None:
        return None
    flags = int.from_bytes(dict(parse(found)).get(2, b""))
    return ActualTable(not flags, _containers(connection, table), _chains(connection, table))


def held_elements(connection: Connection, table: Table, containers: dict[str, int]) -> HeldElements:
    """The elements of the sets in `containers` (name: length of keys), without those that packets put there."""
    elements = HeldElements()
    for name, key_length in containers.items():
        if name != sets.AFFINITY:
            elements.fill(name, _elements(connection, table, name, key_length))
    return elements


def affinity_ids(connection: Connection, table: Table, key_length: int) -> set[int]:
    """The ids for which clients are remembered. Packets add clients all the time, so this is not one consistent picture."""
    answers = connection.stream(Kind.GET_ELEMENTS, table.family, query(table, sets.AFFINITY))
    return {id_in(key) for key, _ in _in_answers(answers, key_length)}


def _elements(connection: Connection, table: Table, name: str, key_length: int) -> Iterator[tuple[bytes, bytes]]:
    return _in_answers(connection.dump(Kind.GET_ELEMENTS, table.family, query(table, name)), key_length)


def _in_answers(answers: Iterable[bytes], key_length: int) -> Iterator[tuple[bytes, bytes]]:
    for answer in answers:
        for kind, payload in parse(answer):
            if kind == 3:
                yield from decoded(payload, key_length)


def _containers(connection: Connection, table: Table) -> dict[str, HeldContainer]:
    found = {}
    for attributes in _of_table(connection, Kind.GET_SET, table):
        flags, key_length, value_length = (int.from_bytes(attributes.get(kind, b"")) for kind in (3, 5, 7))
        found[_text(attributes[2])] = HeldContainer(key_length, value_length, flags)
    return found


def _chains(connection: Connection, table: Table) -> dict[str, HeldChain]:
    chains = {
        _text(attributes[3]): HeldChain(_hook(attributes), int.from_bytes(attributes.get(5, b"\1")) == _ACCEPT)
        for attributes in _of_table(connection, Kind.GET_CHAIN, table)
    }
    for attributes in _of_table(connection, Kind.GET_RULE, table):
        chain = chains.get(_text(attributes[2]))
        if chain:
            chain.rules.append((attributes.get(4, b""), attributes.get(7, b"")))
    return chains


def _of_table(connection: Connection, kind: Kind, table: Table) -> Iterator[dict[int, bytes]]:
    """Older kernels print the chains of all tables of a family, so ours are picked out here."""
    for answer in connection.dump(kind, table.family, query(table)):
        attributes = dict(parse(answer))
        if _text(attributes[1]) == table.name:
            yield attributes


def _hook(attributes: dict[int, bytes]) -> Hook | None:
    if 4 not in attributes:
        return None
    hook = dict(parse(attributes[4]))
    return Hook(_text(attributes.get(7, b"filter\0")), int.from_bytes(hook[1]), int.from_bytes(hook[2], signed=True))


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode(errors="replace")
