"""What the protocols of netfilter have in common: the socket, the header behind netlink's, and nf_tables' generation number."""

from __future__ import annotations

import socket
import struct
from functools import cache

from proxyconfig_agent.netlink import frames, uapi

HEADER_SIZE = 4
_HEADER = struct.Struct(">BBH")  # nfgenmsg: family, version, resource (network order)
_GET_GENERATION = uapi.NFNL_SUBSYS_NFTABLES << 8 | uapi.NFT_MSG_GETGEN
_NEW_GENERATION = uapi.NFNL_SUBSYS_NFTABLES << 8 | uapi.NFT_MSG_NEWGEN
_GENERATIONS = 1 << 32
_BUFFER = 1 << 16


def connect(flags: int = 0) -> socket.socket:
    """A socket in the network namespace of the calling thread; `flags` such as SOCK_NONBLOCK. Raises OSError."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | flags, uapi.NETLINK_NETFILTER)


@cache
def header(family: int = socket.AF_UNSPEC, resource: int = 0) -> bytes:
    return _HEADER.pack(family, 0, resource)


def attributes(payload: bytes) -> dict[int, bytes]:
    """Of a message of any subsystem, by type."""
    return dict(frames.attributes(payload, HEADER_SIZE))


def generation(netfilter: socket.socket) -> int:
    """The number of nf_tables' current ruleset; every commit by anybody makes it another. Raises OSError (EINVAL: no nf_tables)."""
    netfilter.send(frames.message(_GET_GENERATION, uapi.NLM_F_REQUEST, header()))
    while True:
        for kind, _, payload, _ in frames.messages(netfilter.recv(_BUFFER)):
            if kind == _NEW_GENERATION:
                return int.from_bytes(attributes(payload)[uapi.NFTA_GEN_ID])
            frames.is_end(kind, payload)


def generation_after(number: int, commits: int = 1) -> int:
    """The generation that so many commits make of this one; 0 is none."""
    return (number + commits - 1) % (_GENERATIONS - 1) + 1
