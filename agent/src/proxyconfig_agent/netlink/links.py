"""Links of a network namespace that only have addresses: dummies. Everything here raises OSError with the kernel's errno."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator

from proxyconfig_agent.netlink import frames, uapi
from proxyconfig_agent.netlink.frames import attribute, native32, nested, text

_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, interface
_RECEIVE = 1 << 16


def index_of(name: str) -> int:
    """0: there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def group_of(index: int) -> int:
    """The number by which `ip link set group` marks links; 0 is the default, and that of a link that is gone."""
    for payload in _answers(uapi.RTM_GETLINK, 0, _head(index), forgiven=errno.ENODEV):
        found = dict(frames.attributes(payload, _LINK.size))
        return int.from_bytes(found[uapi.IFLA_GROUP], sys.byteorder)
    return 0


def add_dummy(name: str, group: int) -> None:
    """Down, as its addresses are local all the same."""
    kind = nested(uapi.IFLA_LINKINFO, text(uapi.IFLA_INFO_KIND, "dummy"))
    request = _head(0) + text(uapi.IFLA_IFNAME, name) + native32(uapi.IFLA_GROUP, group) + kind
    _commit(uapi.RTM_NEWLINK, uapi.NLM_F_CREATE | uapi.NLM_F_EXCL, request, forgiven=errno.EEXIST)


def set_group(index: int, group: int) -> None:
    _commit(uapi.RTM_NEWLINK, 0, _head(index) + native32(uapi.IFLA_GROUP, group))


def delete(index: int) -> None:
    """With its addresses. One that is gone already is no error."""
    _commit(uapi.RTM_DELLINK, 0, _head(index), forgiven=errno.ENODEV)


def add_addresses(index: int, addresses: Iterable[bytes]) -> None:
    """Each alone, without a network. Those that it has already are no error."""
    for address in addresses:
        _commit(uapi.RTM_NEWADDR, uapi.NLM_F_CREATE | uapi.NLM_F_EXCL, _address(index, address), forgiven=errno.EEXIST)


def delete_addresses(index: int, addresses: Iterable[bytes]) -> None:
    """Those that it does not have are no error."""
    for address in addresses:
        _commit(uapi.RTM_DELADDR, 0, _address(index, address), forgiven=errno.EADDRNOTAVAIL)


def _head(index: int) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0)


def _address(index: int, address: bytes) -> bytes:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    head = _ADDRESS.pack(family, 8 * len(address), uapi.IFA_F_NODAD, 0, index)
    return head + attribute(uapi.IFA_LOCAL, address) + attribute(uapi.IFA_ADDRESS, address)


def _commit(kind: int, flags: int, request: bytes, forgiven: int = 0) -> None:
    list(_answers(kind, flags | uapi.NLM_F_ACK, request, forgiven))


def _answers(kind: int, flags: int, request: bytes, forgiven: int) -> Iterator[bytes]:
    with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)) as rtnetlink:
        rtnetlink.send(frames.message(kind, uapi.NLM_F_REQUEST | flags, request))
        for answer, _, payload, _ in frames.messages(rtnetlink.recv(_RECEIVE)):
            if answer != uapi.NLMSG_ERROR:
                yield payload
            elif (number := frames.error_of(payload)) and number != forgiven:
                raise OSError(number, os.strerror(number))
