"""Sets of ip_set: which there are, what is in them, and their changes.

A kernel without ip_set has none.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator

from proxyconfig_agent.netlink import frames, nfnetlink, uapi
from proxyconfig_agent.netlink.frames import attribute, be32, text, text_of
from proxyconfig_agent.netlink.ipset_messages import Entry, Header, created, entries, entries_of, header_of

_RECEIVE = 1 << 18
_BATCH = 256
"""Entries of one message, which has 64 KiB of them at most."""
_ABSENT = (errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP)
"""Of a set that is not there, or of a kernel without ip_set."""


class Connection:
    """A socket in the network namespace of the thread that made it. Not thread-safe. Raises OSError."""

    def __init__(self) -> None:
        self._socket = nfnetlink.connect()
        self._socket.bind((0, 0))

    def close(self) -> None:
        self._socket.close()

    def names(self) -> frozenset[str]:
        """Of all sets. Raises OSError."""
        listed = self._listed(be32(uapi.IPSET_ATTR_FLAGS, uapi.IPSET_FLAG_LIST_SETNAME))
        return frozenset(text_of(each[uapi.IPSET_ATTR_SETNAME]) for each in listed)

    def ports(self, name: str) -> frozenset[int]:
        """Those in the entries of a set; none if it is not there. Raises OSError."""
        return frozenset(entry.port for entry in self.entries(name) if entry.port)

    def entries(self, name: str) -> frozenset[Entry]:
        """No entries if the set is not there. Raises OSError."""
        listed = self._listed(text(uapi.IPSET_ATTR_SETNAME, name))
        return frozenset(entry for each in listed for entry in entries_of(each))

    def header(self, name: str) -> Header | None:
        """None: there is no such set. Raises OSError."""
        flags = be32(uapi.IPSET_ATTR_FLAGS, uapi.IPSET_FLAG_LIST_HEADER)
        return next(filter(None, map(header_of, self._listed(text(uapi.IPSET_ATTR_SETNAME, name) + flags))), None)

    def create(self, name: str, header: Header) -> None:
        """An empty set; one that is there already stays. Raises OSError, also if that is another kind of set."""
        self._command(uapi.IPSET_CMD_CREATE, text(uapi.IPSET_ATTR_SETNAME, name) + created(header))

    def swap(self, one: str, other: str) -> None:
        """What rules see by the first name they see by the second, and the other way round, at once. Raises OSError."""
        self._command(uapi.IPSET_CMD_SWAP, text(uapi.IPSET_ATTR_SETNAME, one) + text(uapi.IPSET_ATTR_TYPENAME, other))

    def add(self, name: str, some: Iterable[Entry]) -> None:
        """Those that are there already stay. Raises OSError."""
        self._change(uapi.IPSET_CMD_ADD, name, some)

    def delete(self, name: str, some: Iterable[Entry]) -> None:
        """Those that are not there are no error. Raises OSError."""
        self._change(uapi.IPSET_CMD_DEL, name, some)

    def destroy(self, name: str) -> bool:
        """Whether it is gone: a set that a rule names stays. Raises OSError."""
        request = text(uapi.IPSET_ATTR_SETNAME, name)
        try:
            self._command(uapi.IPSET_CMD_DESTROY, request)
        except OSError as error:
            if error.errno not in (*_ABSENT, uapi.IPSET_ERR_BUSY):
                raise
            return error.errno != uapi.IPSET_ERR_BUSY
        return True

    def _change(self, command: int, name: str, some: Iterable[Entry]) -> None:
        each = list(some)
        for at in range(0, len(each), _BATCH):
            self._command(command, text(uapi.IPSET_ATTR_SETNAME, name) + entries(each[at : at + _BATCH]))

    def _command(self, command: int, request: bytes) -> None:
        list(self._exchange(command, uapi.NLM_F_ACK, request))

    def _listed(self, request: bytes) -> list[dict[int, bytes]]:
        """The attributes of each message: a large set comes in several."""
        try:
            return [nfnetlink.attributes(payload) for payload in self._exchange(uapi.IPSET_CMD_LIST, uapi.NLM_F_DUMP, request)]
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            return []

    def _exchange(self, command: int, flags: int, request: bytes) -> Iterator[bytes]:
        header = nfnetlink.header(socket.AF_INET) + attribute(uapi.IPSET_ATTR_PROTOCOL, bytes((uapi.IPSET_PROTOCOL,)))
        kind = uapi.NFNL_SUBSYS_IPSET << 8 | command
        self._socket.send(frames.message(kind, uapi.NLM_F_REQUEST | flags, header + request))
        while True:
            for answer, _, payload, _ in frames.messages(self._socket.recv(_RECEIVE)):
                if frames.is_end(answer, payload):
                    return
                yield payload
