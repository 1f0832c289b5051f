"""Reads the tables of a kube-proxy in nftables mode, as netlink prints them."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.checks.shadow.nftables import KUBE_PROXY
from proxyconfig_agent.checks.walker.nftables import tables
from proxyconfig_agent.dataplane.tables.kernel.dump import of_table
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attributes, text_of
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Kind, Table, query


def kube_proxy_tables(connection: Connection) -> dict[Family, tables.Table]:
    """Of the families in which kube-proxy has a table. Raises KernelError."""
    found = {family: _table(connection, Table(NFPROTO[family], KUBE_PROXY)) for family in Family}
    return {family: table for family, table in found.items() if table is not None}


def _table(connection: Connection, table: Table) -> tables.Table | None:
    payload = connection.get(Kind.GET_TABLE, table.family, query(table))
    if payload is None:
        return None
    return tables.Table(payload, _chains(connection, table), _sets(connection, table))


def _chains(connection: Connection, table: Table) -> dict[str, tables.Chain]:
    found = {
        text_of(parts[uapi.NFTA_CHAIN_NAME]): tables.chain_of(payload) for payload, parts in of_table(connection, Kind.GET_CHAIN, table)
    }
    rules: dict[str, list[tables.Rule]] = {name: [] for name in found}
    for payload, parts in of_table(connection, Kind.GET_RULE, table):
        rule = tables.Rule(parts.get(uapi.NFTA_RULE_EXPRESSIONS, b""), payload)
        rules.setdefault(text_of(parts[uapi.NFTA_RULE_CHAIN]), []).append(rule)
    for name, chain in found.items():
        chain.rules = tuple(rules[name])
    return found


def _sets(connection: Connection, table: Table) -> dict[str, tables.Set]:
    found = {text_of(parts[uapi.NFTA_SET_NAME]): tables.set_of(payload) for payload, parts in of_table(connection, Kind.GET_SET, table)}
    for name, each in found.items():
        # What packets wrote is of clients that are known; a flow is of one that is not.
        if not each.flags & uapi.NFT_SET_EVAL:
            for element in _elements(connection, table, name):
                each.add(element)
    return found


def _elements(connection: Connection, table: Table, name: str) -> Iterator[bytes]:
    """None of a set that was deleted since it was listed."""
    try:
        answers = connection.dump(Kind.GET_ELEMENTS, table.family, query(table, name))
    except KernelError as error:
        if not error.is_missing:
            raise
        return
    for answer in answers:
        for _, element in attributes(dict(attributes(answer)).get(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, b"")):
            yield element
