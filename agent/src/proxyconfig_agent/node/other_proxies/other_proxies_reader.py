"""Looks for another proxy: at kube-proxy's port, in nftables' tables, and for the link of its ipvs mode. All of it blocks."""

from __future__ import annotations

import contextlib
import http.client
import socket
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
from proxyconfig_agent.node.other_proxies.arrival import Running, synced_of
from proxyconfig_agent.node.other_proxies.other_proxies import CANARY, LINK, PORT, TABLE, Seen
from proxyconfig_api.objects.names import GROUP as API_GROUP

ANSWER_S = 1.0
_HOST = "127.0.0.1"
METRICS_LIMIT = 4 << 20
SERVICES = "KUBE-SERVICES"
"""The chain of iptables mode that leads to all others."""

_OF_A_STARTING_AGENT = "{}"
"""The /configz of agents before this version that had no configuration yet."""

_FAMILIES = {uapi.NFPROTO_IPV4: "ip", uapi.NFPROTO_IPV6: "ip6"}
_NUMBERS = {Family.IPV4: uapi.NFPROTO_IPV4, Family.IPV6: uapi.NFPROTO_IPV6}
_OF_IPTABLES = ("mangle", "nat", "filter")


class _Loopback(http.client.HTTPConnection):
    """To an address that needs no look-up: that one's codec for names in other scripts (idna) costs a process 0.3 MiB."""

    def connect(self) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(ANSWER_S)
        self.sock.connect((self.host, self.port))


def look() -> Seen:
    """What there is now, in the network namespace of the calling thread. What cannot be read is not there."""
    tables, canaries = _in_nftables()
    theirs = _has_link()
    return Seen(_mode(), tables, (*canaries, *_in_legacy()), theirs, _virtual_servers() if theirs else 0)


def running() -> Running:
    """The kube-proxy that answers now, with the families in which it says that it has synced, and the kernel has rules of its mode."""
    if not (mode := _mode()):
        return Running()
    try:
        synced = synced_of(_got("/metrics", METRICS_LIMIT))
    except (OSError, http.client.HTTPException):
        synced = frozenset()
    return Running(mode, frozenset(family for family in synced if _has_rules(mode, family)))


def has_chains() -> bool:
    """Whether the agent's rules here are chains with kube-proxy's names."""
    return any(Ownership(owner=owner) for owner in ("iptables", "userspace", "ipvs"))


def _has_rules(mode: str, family: Family) -> bool:
    if mode == "ipvs":
        return _has_link()
    try:
        with contextlib.closing(Connection()) as kernel:
            number = _NUMBERS[family]
            if mode == "nftables":
                return any(table.family == number for table in tables_of(kernel))
            in_nft = kernel.get(Kind.GET_CHAIN, number, _chain("nat", SERVICES)) is not None
    except (OSError, KernelError):
        in_nft = False
    return in_nft or ("nat" in legacy_tables_of(family) and _is_in_legacy(family, "nat", SERVICES))


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
    if has_chains():
        return
    for family, name in _FAMILIES.items():
        for table in _OF_IPTABLES:
            if kernel.get(Kind.GET_CHAIN, family, _chain(table, CANARY)) is not None:
                yield f"{name} {table}"


def _in_legacy() -> Iterator[str]:
    """Of table mangle alone, which has few rules. One that is not there is not opened: that would make it."""
    for family, word in ((Family.IPV4, "ip"), (Family.IPV6, "ip6")):
        if "mangle" in legacy_tables_of(family) and not has_chains() and _is_in_legacy(family, "mangle", CANARY):
            yield f"legacy {word} mangle"


def _is_in_legacy(family: Family, table: str, chain: str) -> bool:
    try:
        return any(line.startswith(f":{chain} ") for line in Tool(family, Backend.LEGACY).save(table))
    except ToolError:
        return False


def _chain(table: str, chain: str) -> bytes:
    return text(uapi.NFTA_CHAIN_TABLE, table) + text(uapi.NFTA_CHAIN_NAME, chain)


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


def _got(path: str, limit: int = 4096) -> str:
    """The body of an answer with status 200, else nothing; at most so many bytes. Raises OSError, HTTPException."""
    with contextlib.closing(_Loopback(_HOST, PORT, timeout=ANSWER_S)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read(limit).decode(errors="replace") if response.status == 200 else ""
