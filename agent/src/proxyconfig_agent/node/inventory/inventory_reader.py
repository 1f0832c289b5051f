"""Reads an Inventory of this network namespace with pyroute2.

For `--init` and `--cleanup`, which end before its memory matters; the running agent never imports this (ADR 9).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace
from pyroute2 import IPVS, IPRoute, NetlinkError
from pyroute2.ipset import IPSet
from pyroute2.nftables.main import NFTables

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.inventory.inventory import Inventory, Link

_FAMILIES = {2: Family.IPV4, 10: Family.IPV6}
_TABLES = {1: "inet", 2: "ip", 10: "ip6"}
_ABSENT = (errno.ENOENT, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL)
"""Of a request to a part of the kernel that is not there."""
_UP = 0x1
_GLOBAL = 0


def read_network() -> Inventory:
    """Links and routes alone, which takes no capability. Raises OSError."""
    try:
        with IPRoute() as route:
            return Inventory(_links(route), frozenset(_routed(route.get_default_routes())))
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error


def read() -> Inventory:
    """Everything; parts that this kernel does not have are empty. Takes CAP_NET_ADMIN. Raises OSError."""
    network = read_network()
    try:
        tables, virtual_servers, sets = _present(_tables), _present(_virtual_servers), _present(_sets)
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error
    return replace(network, tables=tables, virtual_servers=len(virtual_servers), sets=sets)


def _links(route: Any) -> tuple[Link, ...]:
    addresses: dict[int, list[str]] = {}
    for each in route.get_addr():
        if each["scope"] == _GLOBAL:
            text = each.get_attr("IFA_LOCAL") or each.get_attr("IFA_ADDRESS")
            addresses.setdefault(each["index"], []).append(f"{text}/{each['prefixlen']}")
    found = ((each, addresses.get(each["index"], ())) for each in route.get_links())
    return tuple(Link(each.get_attr("IFLA_IFNAME"), bool(each["flags"] & _UP), tuple(own)) for each, own in found)


def _routed(routes: Iterable[Any]) -> Iterable[Family]:
    return (_FAMILIES[each["family"]] for each in routes if each["family"] in _FAMILIES)


def _tables() -> Iterable[str]:
    with NFTables(nfgen_family=0) as nftables:
        return [
            f"{_TABLES[each['nfgen_family']]} {each.get_attr('NFTA_TABLE_NAME')}"
            for each in nftables.get_tables()
            if each["nfgen_family"] in _TABLES
        ]


def _virtual_servers() -> Iterable[str]:
    with IPVS() as ipvs:
        return list(map(str, ipvs.service("dump")))


def _sets() -> Iterable[str]:
    with IPSet() as ipset:
        return [each.get_attr("IPSET_ATTR_SETNAME") for each in ipset.list()]


def _present(part: Callable[[], Iterable[str]]) -> tuple[str, ...]:
    try:
        return tuple(part())
    except NetlinkError as error:
        if error.code not in _ABSENT:
            raise
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
    return ()
