"""The kernel's table to values. The only reader; it writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxyconfig_agent.dataplane.tables.kernel.actual import ActualTable, HeldChain, HeldContainer
from proxyconfig_agent.dataplane.tables.model.elements import decoded
from proxyconfig_agent.dataplane.tables.model.ruleset import Hook
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attributes, text_of
from proxyconfig_agent.netlink.nftables.connection import Connection
from proxyconfig_agent.netlink.nftables.messages import Kind, Table, query


def actual_table(connection: Connection, table: Table) -> ActualTable | None:
    """Chains, rules and sets of a table; None if there is no such table. Raises KernelError."""
    found = connection.get(Kind.GET_TABLE, table.family, query(table))
    if found is None:
        return None
    flags = int.from_bytes(dict(attributes(found)).get(uapi.NFTA_TABLE_FLAGS, b""))
    return ActualTable(not flags, _containers(connection, table), _chains(connection, table))


def scanned(connection: Connection, table: Table) -> Iterator[str]:
    """A line for the table, each of its sets and each of its chains; none if there is no such table. Raises KernelError."""
    if held := actual_table(connection, table):
        name = f"{'ip' if table.family == uapi.NFPROTO_IPV4 else 'ip6'} {table.name}"
        yield f"table {name}"
        yield from (f"set {name} {container}" for container in sorted(held.containers))
        yield from (f"chain {name} {chain}" for chain in sorted(held.chains))


def elements(connection: Connection, table: Table, name: str, key_length: int) -> Iterator[tuple[bytes, bytes]]:
    """The (key, tail) pairs of one set. Raises KernelError."""
    return in_answers(connection.dump(Kind.GET_ELEMENTS, table.family, query(table, name)), key_length)


def in_answers(answers: Iterable[bytes], key_length: int) -> Iterator[tuple[bytes, bytes]]:
    """The (key, tail) pairs in the kernel's messages."""
    for answer in answers:
        for kind, payload in attributes(answer):
            if kind == uapi.NFTA_SET_ELEM_LIST_ELEMENTS:
                yield from decoded(payload, key_length)


def _containers(connection: Connection, table: Table) -> dict[str, HeldContainer]:
    found = {}
    for _, of_set in of_table(connection, Kind.GET_SET, table):
        key_length, value_length = _number(of_set, uapi.NFTA_SET_KEY_LEN), _number(of_set, uapi.NFTA_SET_DATA_LEN)
        found[text_of(of_set[uapi.NFTA_SET_NAME])] = HeldContainer(key_length, value_length, _number(of_set, uapi.NFTA_SET_FLAGS))
    return found


def _chains(connection: Connection, table: Table) -> dict[str, HeldChain]:
    chains = {
        text_of(of[uapi.NFTA_CHAIN_NAME]): HeldChain(_hook(of), _accepts(of)) for _, of in of_table(connection, Kind.GET_CHAIN, table)
    }
    for _, of_rule in of_table(connection, Kind.GET_RULE, table):
        chain = chains.get(text_of(of_rule[uapi.NFTA_RULE_CHAIN]))
        if chain:
            chain.rules.append((of_rule.get(uapi.NFTA_RULE_EXPRESSIONS, b""), of_rule.get(uapi.NFTA_RULE_USERDATA, b"")))
    return chains


def of_table(connection: Connection, kind: Kind, table: Table) -> Iterator[tuple[bytes, dict[int, bytes]]]:
    """The chains, rules or sets of a table: their octets, and their attributes by number. Raises KernelError.

    Older kernels print the chains of all tables of a family, so those are picked out here: NFTA_*_TABLE is 1 in all of them."""
    for answer in connection.dump(kind, table.family, query(table)):
        found = dict(attributes(answer))
        if text_of(found[uapi.NFTA_CHAIN_TABLE]) == table.name:
            yield answer, found


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
