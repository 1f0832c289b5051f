"""Looks for another proxy: at kube-proxy's port, in nftables' tables, and for the link of its ipvs mode."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from proxyconfig_agent.dataplane.ipvs.model.servers import GROUP
from proxyconfig_agent.dataplane.ownership import Ownership
from proxyconfig_agent.netlink import links, uapi
from proxyconfig_agent.netlink.frames import text
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Kind, Table, query
from proxyconfig_agent.node.other_proxies import CANARY, LINK, PORT, TABLE, Seen, finding_of
from proxyconfig_agent.state.findings import Finding
from proxyconfig_api.names import GROUP as API_GROUP

LOOK_S = 60.0
ANSWER_S = 1.0

_FAMILIES = {uapi.NFPROTO_IPV4: "ip", uapi.NFPROTO_IPV6: "ip6"}
_OF_IPTABLES = ("mangle", "nat", "filter")


async def watch(tell: Callable[[Finding | None], None]) -> NoReturn:
    """Tell what is found, every LOOK_S seconds until cancelled."""
    while True:
        tell(finding_of(await asyncio.to_thread(look)))
        await asyncio.sleep(LOOK_S)


def look() -> Seen:
    """What there is now, in the network namespace of the calling thread. What cannot be read is not there."""
    tables, canaries = _in_nftables()
    theirs = _has_link()
    return Seen(_mode(), tables, canaries, theirs, _virtual_servers() if theirs else 0)


def _in_nftables() -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        with contextlib.closing(Connection()) as kernel:
            return tuple(_tables(kernel)), tuple(_canaries(kernel))
    except (OSError, KernelError):
        return (), ()


def _tables(kernel: Connection) -> Iterator[str]:
    for family, name in _FAMILIES.items():
        if kernel.get(Kind.GET_TABLE, family, query(Table(family, TABLE))) is not None:
            yield f"{name} {TABLE}"


def _canaries(kernel: Connection) -> Iterator[str]:
    """An agent in iptables mode has the same chains; then they are its own."""
    if any(Ownership(owner=owner) for owner in ("iptables", "userspace")):
        return
    for family, name in _FAMILIES.items():
        for table in _OF_IPTABLES:
            if kernel.get(Kind.GET_CHAIN, family, _chain(table)) is not None:
                yield f"{name} {table}"


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
    """As a kube-proxy tells it; an agent answers on the same port, and names itself in /configz."""
    try:
        mode = _got("/proxyMode")
        return mode.strip() if mode and API_GROUP not in _got("/configz") else ""
    except (OSError, http.client.HTTPException):
        return ""


def _got(path: str) -> str:
    """The body of an answer with status 200, else nothing. Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=ANSWER_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read(4096).decode(errors="replace") if response.status == 200 else ""
