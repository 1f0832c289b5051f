"""The two counters of packets that kube-proxy's rules name: nfacct objects, made over netlink. Many kernels have none (xt_nfacct)."""

from __future__ import annotations

import errno
import socket
import struct

from proxyconfig_agent.dataplane.iptables.model.static_rules import COUNTERS
from proxyconfig_agent.netlink import frames

_NETFILTER = 12
_ACCOUNTING = 7 << 8
_NEW, _GET, _DELETE = _ACCOUNTING | 0, _ACCOUNTING | 1, _ACCOUNTING | 3
_NAME, _PACKETS = 1, 2
_CREATE, _EXCLUSIVE = 0x400, 0x200
_NFGENMSG = struct.Struct("=BBH")


def ensure() -> bool:
    """Make the counters, if they are not there; whether the kernel has such objects."""
    return all(_done(_NEW, _CREATE | _EXCLUSIVE, name) in (0, errno.EEXIST) for name in COUNTERS)


def remove() -> None:
    """Take the counters away, but for those that rules of somebody else name."""
    for name in COUNTERS:
        _done(_DELETE, 0, name)


def packets(name: str) -> int | None:
    """What a counter has counted; None if there is none."""
    try:
        for message in _asked(_GET, 0, name):
            if message.kind == _NEW:
                found = dict(frames.attributes(message.payload, _NFGENMSG.size))
                return int.from_bytes(found[_PACKETS]) if _PACKETS in found else None
    except OSError:
        pass
    return None


def _done(kind: int, flags: int, name: str) -> int:
    """The kernel's answer as an errno, 0 for success."""
    try:
        for message in _asked(kind, frames.ACK | flags, name):
            if message.kind == frames.ERROR:
                return frames.error_of(message.payload)
    except OSError as error:
        return error.errno or errno.EIO
    return errno.EIO


def _asked(kind: int, flags: int, name: str) -> list[frames.Message]:
    payload = _NFGENMSG.pack(socket.AF_UNSPEC, 0, 0) + frames.attribute(_NAME, name.encode() + b"\0")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as accounting:
        accounting.send(frames.message(kind, frames.REQUEST | flags, payload))
        return list(frames.messages(accounting.recv(1 << 16)))
