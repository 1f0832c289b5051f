"""Sets of ip_set: which there are, the ports of those that hold ports, and their end. The agent makes none.

A kernel without ip_set has none.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from proxyconfig_agent.netlink import frames, nfnetlink, uapi
from proxyconfig_agent.netlink.frames import attribute, attributes, be32, text, text_of

_RECEIVE = 1 << 18
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
        listed = self._listed(text(uapi.IPSET_ATTR_SETNAME, name))
        return frozenset(port for each in listed for port in _ports(each.get(uapi.IPSET_ATTR_ADT, b"")))

    def destroy(self, name: str) -> bool:
        """Whether it is gone: a set that a rule names stays. Raises OSError."""
        request = text(uapi.IPSET_ATTR_SETNAME, name)
        try:
            list(self._exchange(uapi.IPSET_CMD_DESTROY, uapi.NLM_F_ACK, request))
        except OSError as error:
            if error.errno not in (*_ABSENT, uapi.IPSET_ERR_BUSY):
                raise
            return error.errno != uapi.IPSET_ERR_BUSY
        return True

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


def _ports(entries: bytes) -> Iterator[int]:
    for _, entry in attributes(entries):
        if port := dict(attributes(entry)).get(uapi.IPSET_ATTR_PORT):
            yield int.from_bytes(port)
