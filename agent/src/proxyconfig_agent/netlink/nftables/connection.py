"""The netlink socket: transactions and dumps. The only place that talks to the kernel."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator

from proxyconfig_agent.netlink.frames import error_of
from proxyconfig_agent.netlink.nftables.attributes import parse
from proxyconfig_agent.netlink.nftables.messages import SUBSYSTEM, Kind, Message

_NETFILTER = 12
_SOL_NETLINK, _EXT_ACK, _CAP_ACK = 270, 11, 10
_SO_SNDBUFFORCE = 32
_SEND_BUFFER = 16 << 20
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ERROR, _DONE = 2, 3
_INTERRUPTED = 0x10
_EXT_ACK_FOLLOWS, _CAPPED = 0x200, 0x100
_BEGIN, _END = 16, 17
_RECEIVE = 1 << 18
_ATTEMPTS = 4
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct(">BBH")


class KernelError(Exception):
    """The kernel refused something; `number` is its errno."""

    def __init__(self, number: int, about: str, words: str = "") -> None:
        self.number = number
        self.about = about
        name = errno.errorcode.get(number, str(number))
        detail = f": {words}" if words else ""
        super().__init__(f"the kernel refused {about}: {os.strerror(number)} ({name}){detail}")

    @property
    def is_missing(self) -> bool:
        return self.number == errno.ENOENT


class Connection:
    """A socket in the network namespace of the thread that made it. Not thread-safe."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
        except PermissionError:
            # Without CAP_NET_ADMIN in the first user namespace; net.core.wmem_max bounds a transaction then.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    @property
    def capacity(self) -> int:
        """The bytes that one transaction can have."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    def close(self) -> None:
        self._socket.close()

    def commit(self, messages: Iterable[Message], *, keep: bool = True) -> int:
        """Send `messages` as one atomic transaction; how many there were. With `keep` false the kernel checks them and forgets them.

        Raises KernelError with the first refusal; nothing of the transaction has happened then.
        """
        parts = [_framed(_BEGIN, _REQUEST, 0, _GENERIC.pack(0, 0, SUBSYSTEM >> 8))]
        abouts: list[str] = []
        pending: Message | None = None
        for message in messages:
            if pending is not None:
                parts.append(_request(pending, _REQUEST, len(abouts)))
            pending = message
            abouts.append(message.about)
        if pending is None:
            return 0
        # The acknowledgement of the last message stands for all: kernels before 6.10 never acknowledge the end of a batch.
        parts.append(_request(pending, _REQUEST | _ACK, len(abouts)))
        if keep:
            parts.append(_framed(_END, _REQUEST, 0, _GENERIC.pack(0, 0, SUBSYSTEM >> 8)))
        self._send(b"".join(parts))
        self._await_acknowledgement(abouts)
        return len(abouts)

    def generation(self) -> int:
        """The number of the kernel's current ruleset; every commit by anybody makes it another."""
        for payload in self._exchange(Kind.GET_GENERATION, 0, 0, b""):
            for kind, value in parse(payload[4:]):
                if kind == 1:
                    return int.from_bytes(value)
        raise KernelError(errno.EOPNOTSUPP, "the generation number")

    def has_nf_tables(self) -> bool:
        """Whether the kernel knows nf_tables at all. nfnetlink answers EINVAL to what is for a subsystem that is not there."""
        try:
            self.generation()
        except KernelError as error:
            return error.number != errno.EINVAL
        return True

    def get(self, kind: Kind, family: int, payload: bytes) -> bytes | None:
        """One object's attributes; None if it does not exist."""
        try:
            for answer in self._exchange(kind, family, 0, payload):
                return answer[4:]
        except KernelError as error:
            if not error.is_missing:
                raise
        return None

    def dump(self, kind: Kind, family: int, payload: bytes) -> list[bytes]:
        """The attributes of every object of a kind, each kernel message as it came.

        Read again while the ruleset changes, but not for ever: nearly always it is somebody else's table that does, and who reads ours
        a little wrong sends what is there already, which the kernel takes.
        """
        answers: list[bytes] = []
        for _ in range(_ATTEMPTS):
            answers.clear()
            with contextlib.suppress(_AgainError):
                for answer in self._exchange(kind, family, _DUMP, payload):
                    answers.append(answer[4:])  # noqa: PERF401 — kept when the dump ends in _AgainError
                break
        return answers

    def stream(self, kind: Kind, family: int, payload: bytes) -> Iterator[bytes]:
        """Like `dump`, one message at a time, and whether or not the ruleset changes meanwhile."""
        with contextlib.suppress(_AgainError):
            for answer in self._exchange(kind, family, _DUMP, payload):
                yield answer[4:]

    def _exchange(self, kind: Kind, family: int, flags: int, payload: bytes) -> Iterator[bytes]:
        self._drain()
        request = _GENERIC.pack(family, 0, 0) + payload
        self._send(_framed(SUBSYSTEM | kind, _REQUEST | flags | (0 if flags else _ACK), 1, request))
        interrupted = False
        while True:
            for answer, answer_flags, _, body in _messages(self._socket.recv(_RECEIVE)):
                interrupted |= bool(answer_flags & _INTERRUPTED)
                if answer in (_DONE, _ERROR):
                    if number := error_of(body):
                        raise KernelError(number, f"a {kind.name.lower().replace('_', ' ')} request")
                    if interrupted:
                        raise _AgainError
                    return
                yield body

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.send(octets)
        except OSError as error:
            raise KernelError(error.errno or errno.EIO, f"a transaction of {len(octets)} bytes") from error

    def _await_acknowledgement(self, abouts: list[str]) -> None:
        """Every answer is in the socket's queue when send() returns: nf_tables works within the system call."""
        acknowledged = False
        refusal: KernelError | None = None
        while True:
            try:
                octets = self._socket.recv(_RECEIVE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as error:
                # ENOBUFS: more refusals than the socket holds. One is enough to know that nothing was committed.
                refusal = refusal or KernelError(error.errno or errno.EIO, "the transaction")
                continue
            for answer, flags, sequence, body in _messages(octets):
                if answer != _ERROR:
                    continue
                number = error_of(body)
                if number and refusal is None:
                    about = abouts[sequence - 1] if 0 < sequence <= len(abouts) else "the transaction"
                    refusal = KernelError(number, about, _words(flags, body))
                acknowledged |= not number and sequence == len(abouts)
        if refusal is not None:
            raise refusal
        if not acknowledged:
            raise KernelError(errno.EIO, "the transaction", "it did not answer")

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(_RECEIVE, socket.MSG_DONTWAIT)


class _AgainError(Exception):
    """NLM_F_DUMP_INTR: what was read is of two rulesets."""


def _framed(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(len(body) + 16, kind, flags, sequence, 0) + body


def _request(message: Message, flags: int, sequence: int) -> bytes:
    return _framed(SUBSYSTEM | message.kind, flags | message.flags, sequence, _GENERIC.pack(message.family, 0, 0) + message.payload)


def _messages(octets: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(kind, flags, sequence number, body) of each message."""
    at = 0
    while at + 16 <= len(octets):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(octets, at)
        yield kind, flags, sequence, octets[at + 16 : at + length]
        at += length + (-length % 4)


def _words(flags: int, body: bytes) -> str:
    """The kernel's own sentence about an error, if it has one (NLMSGERR_ATTR_MSG)."""
    if not flags & _EXT_ACK_FOLLOWS:
        return ""
    header_only = 4 + 16
    at = header_only if flags & _CAPPED else 4 + int.from_bytes(body[4:8], sys.byteorder)
    for kind, value in parse(body[at:]):
        if kind == 1:
            return value.rstrip(b"\0").decode(errors="replace")
    return ""
