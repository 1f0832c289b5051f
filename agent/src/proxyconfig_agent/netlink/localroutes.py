"""Routes that make addresses local to this node without giving them to an interface: `local ADDRESS dev lo proto PROTOCOL src SOURCE`.

The protocol number distinguishes ours from other programs', and from those that the kernel makes of interfaces' addresses.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from proxyconfig_agent.netlink import frames, uapi
from proxyconfig_agent.netlink.frames import attribute, native32

PROTOCOL = 88
"""A number that /etc/iproute2/rt_protos gives to nobody."""

_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, destination's and source's length, tos, table, protocol, scope, type, flags
_RECEIVE = 1 << 18
_BATCH = 256
"""Messages of one send; the answers to all of them fit a socket's default buffer."""


class Connection:
    """A socket in the network namespace of the thread that made it. Not thread-safe. Raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        with contextlib.suppress(OSError):  # before Linux 4.20 the kernel lists all routes
            self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_GET_STRICT_CHK, 1)

    def close(self) -> None:
        self._socket.close()

    def held(self, family: int) -> dict[bytes, bytes]:
        """Our addresses of AF_INET or AF_INET6, each with the source that its own clients have; empty: none is set."""
        return dict(_local_routes(self._dump(family)))

    def of_links(self, family: int) -> dict[bytes, int]:
        """The addresses of AF_INET or AF_INET6 that links have, each with the link's number."""
        return dict(_routes_of_links(self._dump(family, uapi.RTPROT_KERNEL)))

    def add(self, addresses: Iterable[bytes], source: bytes) -> Mapping[bytes, int]:
        """Those that the kernel refused, with its errno. One that an interface has as well has two routes, of which ours is found first in
        IPv4; when that interface loses it, ours is still there.

        A source that is no address of this node is left out."""
        refused = self._commit(uapi.RTM_NEWROUTE, list(addresses), source)
        if source and (unsourced := [address for address, number in refused.items() if number == errno.EINVAL]):
            refused = {address: number for address, number in refused.items() if number != errno.EINVAL}
            refused |= self._commit(uapi.RTM_NEWROUTE, unsourced, b"")
        return {address: number for address, number in refused.items() if number != errno.EEXIST}

    def remove(self, addresses: Iterable[bytes]) -> Mapping[bytes, int]:
        """Those that the kernel refused, with its errno; one that is not there is no refusal."""
        refused = self._commit(uapi.RTM_DELROUTE, list(addresses), b"")
        return {address: number for address, number in refused.items() if number != errno.ESRCH}

    def _commit(self, kind: int, addresses: Sequence[bytes], source: bytes) -> dict[bytes, int]:
        refused: dict[bytes, int] = {}
        for start in range(0, len(addresses), _BATCH):
            refused |= self._send(kind, addresses[start : start + _BATCH], source)
        return refused

    def _send(self, kind: int, addresses: Sequence[bytes], source: bytes) -> dict[bytes, int]:
        flags = uapi.NLM_F_REQUEST | uapi.NLM_F_ACK
        flags |= uapi.NLM_F_CREATE if kind == uapi.RTM_NEWROUTE else 0
        requests = (frames.message(kind, flags, route(address, source), number) for number, address in enumerate(addresses))
        self._socket.sendto(b"".join(requests), (0, 0))
        refused, answered = dict[bytes, int](), 0
        while answered < len(addresses):
            for answer in frames.messages(self._socket.recv(_RECEIVE)):
                answered += 1
                if number := frames.error_of(answer.payload):
                    refused[addresses[answer.sequence]] = number
        return refused

    def _dump(self, family: int, protocol: int = PROTOCOL) -> Iterator[bytes]:
        request = _ROUTE.pack(family, 0, 0, 0, uapi.RT_TABLE_LOCAL, protocol, 0, uapi.RTN_LOCAL, 0)
        self._socket.sendto(frames.message(uapi.RTM_GETROUTE, uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP, request), (0, 0))
        while True:
            for kind, _, payload, _ in frames.messages(self._socket.recv(_RECEIVE)):
                if frames.is_end(kind, payload):
                    return
                yield payload


def route(address: bytes, source: bytes) -> bytes:
    """The payload of a request that names one; without `source` the kernel chooses what the node's own clients have."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    head = _ROUTE.pack(family, 8 * len(address), 0, 0, uapi.RT_TABLE_LOCAL, PROTOCOL, uapi.RT_SCOPE_HOST, uapi.RTN_LOCAL, 0)
    parts = attribute(uapi.RTA_DST, address) + native32(uapi.RTA_OIF, socket.if_nametoindex("lo"))
    return head + parts + (attribute(uapi.RTA_PREFSRC, source) if source else b"")


def _local_routes(payloads: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Ours, of whatever the kernel lists."""
    for address, protocol, found in _of_addresses(payloads):
        if protocol == PROTOCOL:
            yield address, found.get(uapi.RTA_PREFSRC, b"")


def _routes_of_links(payloads: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    for address, protocol, found in _of_addresses(payloads):
        if protocol == uapi.RTPROT_KERNEL:
            yield address, int.from_bytes(found.get(uapi.RTA_OIF, b""), sys.byteorder)


def _of_addresses(payloads: Iterable[bytes]) -> Iterator[tuple[bytes, int, dict[int, bytes]]]:
    """Address, protocol and attributes of those that make one address local."""
    for payload in payloads:
        _, length, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(payload)
        found = dict(frames.attributes(payload, _ROUTE.size))
        address = found.get(uapi.RTA_DST, b"")
        if (table, kind) == (uapi.RT_TABLE_LOCAL, uapi.RTN_LOCAL) and address and length == 8 * len(address):
            yield address, protocol, found
