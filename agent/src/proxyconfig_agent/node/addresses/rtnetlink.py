"""The addresses of this node's interfaces, now and whenever they change, over rtnetlink.

Encoded here: the few structs cost nothing, while importing any part of pyroute2 costs every agent 10 MiB.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator

from proxyconfig_agent.ingest.model import Address
from proxyconfig_agent.netlink import frames, links, uapi
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.node.inventory.host_findings import IPVS_LINK

_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, interface
_BUFFER = 1 << 16

SETTLE_S = 0.2
"""Addresses come in bursts (an interface that goes up has several): what follows within this time is one change."""


def read() -> tuple[LocalAddress, ...]:
    """All addresses in this network namespace but those of Services, which ipvs mode binds to a link; sorted. Raises OSError with the
    kernel's errno."""
    bound = links.index_of(IPVS_LINK)
    while True:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as rtnetlink:
            rtnetlink.sendto(frames.message(uapi.RTM_GETADDR, uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP, _ADDRESS.pack(0, 0, 0, 0, 0)), (0, 0))
            try:
                return tuple(sorted(each for each in _dump(rtnetlink) if each.interface != bound))
            except InterruptedError:
                continue  # the list changed while it was read


def _dump(rtnetlink: socket.socket) -> Iterator[LocalAddress]:
    while True:
        for kind, flags, payload, _ in frames.messages(rtnetlink.recv(_BUFFER)):
            if flags & uapi.NLM_F_DUMP_INTR:
                raise InterruptedError
            if frames.is_end(kind, payload):
                return
            if kind == uapi.RTM_NEWADDR and (address := parse(payload)):
                yield address


def parse(payload: bytes) -> LocalAddress | None:
    """An RTM_NEWADDR's payload; None if it is of another family, or a duplicate of another host's address (DAD failed)."""
    family, prefix, flags, _, interface = _ADDRESS.unpack_from(payload)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    attributes = dict(frames.attributes(payload, _ADDRESS.size))
    if uapi.IFA_FLAGS in attributes:
        flags = int.from_bytes(attributes[uapi.IFA_FLAGS], sys.byteorder)
    # On a point-to-point link IFA_ADDRESS is the peer's; IFA_LOCAL is ours, and absent where they are the same (IPv6).
    address = attributes.get(uapi.IFA_LOCAL, attributes.get(uapi.IFA_ADDRESS))
    if address is None or flags & uapi.IFA_F_DADFAILED:
        return None
    return LocalAddress(Address(address), prefix, interface)


async def watch(settle_s: float = SETTLE_S) -> AsyncIterator[tuple[LocalAddress, ...]]:
    """Yield the node's addresses at once, and again after each change, for ever.

    A message only wakes us: the whole list is read again, so that a lost one (ENOBUFS) is made up for."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE) as news:
        news.bind((0, uapi.RTMGRP_IPV4_IFADDR | uapi.RTMGRP_IPV6_IFADDR))
        before = None
        while True:
            if (now := read()) != before:
                yield now
                before = now
            await _heard(loop, news)
            await asyncio.sleep(settle_s)
            _drain(news)


async def _heard(loop: asyncio.AbstractEventLoop, news: socket.socket) -> None:
    try:
        await loop.sock_recv(news, _BUFFER)
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise


def _drain(news: socket.socket) -> None:
    while True:
        try:
            news.recv(_BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
