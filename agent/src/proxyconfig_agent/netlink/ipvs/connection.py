"""The generic netlink socket of IPVS: commands, the dump of services, timeouts. The only place that talks to IPVS.

The kernel requires CAP_NET_ADMIN in its first user namespace for every command, reading included.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from proxyconfig_agent.netlink import frames, genetlink, uapi
from proxyconfig_agent.netlink.ipvs import listing, messages
from proxyconfig_agent.netlink.ipvs.batches import Refusal, answers, batches, encode
from proxyconfig_agent.netlink.ipvs.messages import Command, Destination, Load, Scheduling, Timeouts, VirtualServer

_RECEIVE_BUFFER = 1 << 20
_RECEIVE = 1 << 16
WAIT_S = 10.0
"""For an answer. The kernel works within send(), so it waits for nothing but a fault."""


class Connection:
    """A socket in the network namespace of the thread that made it. Not thread-safe.

    Making it loads the kernel's module ip_vs where the kernel may. Raises OSError: ENOENT if this kernel has no IPVS.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, uapi.NETLINK_GENERIC)
        try:
            self._socket.bind((0, 0))
            self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_CAP_ACK, 1)
            _enlarge(self._socket)
            self._family = self._find_family()
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def commit(self, commands: Iterable[Command]) -> list[Refusal]:
        """Send the commands in their order; those that the kernel refused, the others being done. Raises OSError if an answer is lost:
        what has been done then is to be read back."""
        refused: list[Refusal] = []
        sent = 0
        for batch in batches(commands):
            refused += (Refusal(sent + sequence - 1, number) for sequence, number in self._commit(batch))
            sent += len(batch)
        return refused

    def services(self) -> dict[VirtualServer, Scheduling]:
        """Every virtual server of the network namespace, those of others too, except firewall-mark services. Raises OSError."""
        listed = map(messages.listed_service, self._exchange(uapi.IPVS_CMD_GET_SERVICE, uapi.NLM_F_DUMP))
        return dict(service for service in listed if service is not None)

    def destinations(self, server: VirtualServer) -> dict[Destination, Load]:
        """Those of one virtual server, none if it is not there: of many at once, `loads` is faster. Raises OSError."""
        answers = self._exchange(uapi.IPVS_CMD_GET_DEST, uapi.NLM_F_DUMP, messages.destinations_of(server))
        return dict(map(messages.listed_destination, answers))

    def loads(self) -> Mapping[VirtualServer, dict[Destination, Load]]:
        """Those of every virtual server of the calling thread's network namespace. Raises OSError."""
        return listing.read()

    def timeouts(self) -> Timeouts:
        """Raises OSError."""
        (answer,) = self._exchange(uapi.IPVS_CMD_GET_CONFIG, uapi.NLM_F_ACK)
        return messages.listed_timeouts(answer)

    def _find_family(self) -> int:
        self._socket.settimeout(WAIT_S)
        self._socket.send(genetlink.get_family(uapi.IPVS_GENL_NAME, sequence=1))
        for kind, _, payload, _ in frames.messages(self._socket.recv(_RECEIVE)):
            if not frames.is_end(kind, payload):
                return genetlink.family_of(payload)
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))

    def _commit(self, batch: Sequence[Command]) -> list[tuple[int, int]]:
        """(sequence, errno) of what the kernel refused."""
        self._drain()
        self._socket.send(encode(self._family, batch))
        refused: list[tuple[int, int]] = []
        while True:
            for sequence, number in answers(self._socket.recv(_RECEIVE)):
                if number:
                    refused.append((sequence, number))
                if sequence == len(batch):
                    return refused

    def _exchange(self, command: int, flags: int, question: bytes = b"") -> Iterator[bytes]:
        self._drain()
        header = genetlink.header(command, uapi.IPVS_GENL_VERSION)
        self._socket.send(frames.message(self._family, uapi.NLM_F_REQUEST | flags, header + question, sequence=1))
        while True:
            for kind, _, payload, _ in frames.messages(self._socket.recv(_RECEIVE)):
                if frames.is_end(kind, payload):
                    return
                yield payload

    def _drain(self) -> None:
        """Forget answers to an exchange that was broken off."""
        self._socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(_RECEIVE)
        self._socket.settimeout(WAIT_S)


def _enlarge(netlink: socket.socket) -> None:
    try:
        netlink.setsockopt(socket.SOL_SOCKET, uapi.SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        # Without CAP_NET_ADMIN in the first user namespace; net.core.rmem_max bounds it then.
        netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
