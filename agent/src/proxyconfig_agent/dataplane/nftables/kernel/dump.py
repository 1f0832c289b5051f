"""The kernel's table to values. The only reader; it writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxyconfig_agent.dataplane.nftables.kernel.actual import ActualTable, HeldChain, HeldContainer, HeldElements
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.elements import decoded
from proxyconfig_agent.dataplane.nftables.model.ruleset import Hook
from proxyconfig_agent.dataplane.nftables.model.service_mark import id_in
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attributes, text_of
from proxyconfig_agent.netlink.nftables.connection import Connection
from proxyconfig_agent.netlink.nftables.messages import Kind, Table, query


def held(connection: Connection, table: Table) -> ActualTable | None:
    """Chains, rules and sets of a table; None if there is no such table. Raises KernelError."""
    found = connection.get(Kind.GET_TABLE, table.family, query(table))
    if found is None:
        return None
    flags = int.from_bytes(dict(attributes(found)).get(uapi.NFTA_TABLE_FLAGS, b""))
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
        for kind, payload in attributes(answer):
            if kind == uapi.NFTA_SET_ELEM_LIST_ELEMENTS:
                yield from decoded(payload, key_length)


def _containers(connection: Connection, table: Table) -> dict[str, HeldContainer]:
    found = {}
    for of_set in _of_table(connection, Kind.GET_SET, table):
        key_length, value_length = _number(of_set, uapi.NFTA_SET_KEY_LEN), _number(of_set, uapi.NFTA_SET_DATA_LEN)
        found[text_of(of_set[uapi.NFTA_SET_NAME])] = HeldContainer(key_length, value_length, _number(of_set, uapi.NFTA_SET_FLAGS))
    return found


def _chains(connection: Connection, table: Table) -> dict[str, HeldChain]:
    chains = {text_of(of[uapi.NFTA_CHAIN_NAME]): HeldChain(_hook(of), _accepts(of)) for of in _of_table(connection, Kind.GET_CHAIN, table)}
    for of_rule in _of_table(connection, Kind.GET_RULE, table):
        chain = chains.get(text_of(of_rule[uapi.NFTA_RULE_CHAIN]))
        if chain:
            chain.rules.append((of_rule.get(uapi.NFTA_RULE_EXPRESSIONS, b""), of_rule.get(uapi.NFTA_RULE_USERDATA, b"")))
    return chains


def _of_table(connection: Connection, kind: Kind, table: Table) -> Iterator[dict[int, bytes]]:
    """Older kernels print the chains of all tables of a family, so ours are picked out here: NFTA_*_TABLE is 1 in all of them."""
    for answer in connection.dump(kind, table.family, query(table)):
        found = dict(attributes(answer))
        if text_of(found[uapi.NFTA_CHAIN_TABLE]) == table.name:
            yield found


def _hook(of_chain: dict[int, bytes]) -> Hook | None:
    if uapi.NFTA_CHAIN_HOOK not in of_chain:
        return None
    hook = dict(attributes(of_chain[uapi.NFTA_CHAIN_HOOK]))
    kind = text_of(of_chain.get(uapi.NFTA_CHAIN_TYPE, b"filter"))
    return Hook(kind, _number(hook, uapi.NFTA_HOOK_HOOKNUM), int.from_bytes(hook[uapi.NFTA_HOOK_PRIORITY], signed=True))


def _accepts(of_chain: dict[int, bytes]) -> bool:
    return uapi.NFTA_CHAIN_POLICY not in of_chain or _number(of_chain, uapi.NFTA_CHAIN_POLICY) == uapi.NF_ACCEPT


def _number(found: dict[int, bytes], kind: int) -> int:
    """0 where it is absent."""
    return int.from_bytes(found.get(kind, b""))
