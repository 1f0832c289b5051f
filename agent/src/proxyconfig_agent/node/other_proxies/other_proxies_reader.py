"""Looks for another proxy: at kube-proxy's port, in nftables' tables, and for the link of its ipvs mode."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path

from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend, Tool, legacy_tables_of
from proxyconfig_agent.dataplane.iptables.tools.program import ToolError
from proxyconfig_agent.dataplane.ipvs.model.servers import GROUP
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import links, uapi
from proxyconfig_agent.netlink.frames import text
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Kind, Table, query
from proxyconfig_agent.node.other_proxies.other_proxies import CANARY, LINK, PORT, TABLE, Seen
from proxyconfig_api.objects.names import GROUP as API_GROUP

ANSWER_S = 1.0

_OF_A_STARTING_AGENT = "{}"
"""The /configz of agents before this version that had no configuration yet."""

_FAMILIES = {uapi.NFPROTO_IPV4: "ip", uapi.NFPROTO_IPV6: "ip6"}
_OF_IPTABLES = ("mangle", "nat", "filter")


def look() -> Seen:
    """What there is now, in the network namespace of the calling thread. What cannot be read is not there."""
    tables, canaries = _in_nftables()
    theirs = _has_link()
    return Seen(_mode(), tables, (*canaries, *_in_legacy()), theirs, _virtual_servers() if theirs else 0)


def _in_nftables() -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        with contextlib.closing(Connection()) as kernel:
            return tuple(tables_of(kernel).values()), tuple(_canaries(kernel))
    except (OSError, KernelError):
        return (), ()


def tables_of(kernel: Connection) -> dict[Table, str]:
    """Those of kube-proxy's nftables mode, with their names as nft prints them. Raises KernelError, OSError."""
    tables = {Table(family, TABLE): f"{name} {TABLE}" for family, name in _FAMILIES.items()}
    return {table: name for table, name in tables.items() if kernel.get(Kind.GET_TABLE, table.family, query(table)) is not None}


def _canaries(kernel: Connection) -> Iterator[str]:
    if _are_ours():
        return
    for family, name in _FAMILIES.items():
        for table in _OF_IPTABLES:
            if kernel.get(Kind.GET_CHAIN, family, _chain(table)) is not None:
                yield f"{name} {table}"


def _in_legacy() -> Iterator[str]:
    """Of table mangle alone, which has few rules. One that is not there is not opened: that would make it."""
    for family, word in ((Family.IPV4, "ip"), (Family.IPV6, "ip6")):
        if "mangle" in legacy_tables_of(family) and not _are_ours() and _is_in_legacy(family):
            yield f"legacy {word} mangle"


def _is_in_legacy(family: Family) -> bool:
    try:
        return any(line.startswith(f":{CANARY} ") for line in Tool(family, Backend.LEGACY).save("mangle"))
    except ToolError:
        return False


def _are_ours() -> bool:
    """Modes of an agent that use iptables have the same chains; then they are its own."""
    return any(Ownership(owner=owner) for owner in ("iptables", "userspace", "ipvs"))


def _chain(table: str) -> bytes:
    return text(uapi.NFTA_CHAIN_TABLE, table) + text(uapi.NFTA_CHAIN_NAME, CANARY)


def _has_link() -> bool:
    """Not the one that ipvs mode makes, which has its group."""
    try:
        index = links.index_of(LINK)
        return bool(index) and links.group_of(index) != GROUP
    except OSError:
        return False


def _virtual_servers() -> int:
    try:
        lines = Path("/proc/net/ip_vs").read_text().splitlines()
    except OSError:
        return 0
    return sum(line.split()[0] in ("TCP", "UDP", "SCTP") for line in lines if line.strip())


def _mode() -> str:
    """As a kube-proxy reports it; an agent answers on the same port, and names itself in /configz."""
    try:
        mode, configz = _got("/proxyMode"), _got("/configz").strip()
        return mode.strip() if configz != _OF_A_STARTING_AGENT and API_GROUP not in configz else ""
    except (OSError, http.client.HTTPException):
        return ""


def _got(path: str) -> str:
    """The body of an answer with status 200, else nothing. Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=ANSWER_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read(4096).decode(errors="replace") if response.status == 200 else ""
