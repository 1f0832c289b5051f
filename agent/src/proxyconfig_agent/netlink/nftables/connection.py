"""The netlink socket: transactions and dumps. The only place that talks to the kernel."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterable, Iterator

from proxyconfig_agent.netlink import frames, nfnetlink, uapi
from proxyconfig_agent.netlink.frames import error_of
from proxyconfig_agent.netlink.nftables.messages import SUBSYSTEM, Kind, Message
from proxyconfig_agent.netlink.uapi import NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST

_SEND_BUFFER = 16 << 20
_RECEIVE = 1 << 18
_ATTEMPTS = 4
_BEGIN = frames.message(uapi.NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, nfnetlink.header(resource=uapi.NFNL_SUBSYS_NFTABLES))
_END = frames.message(uapi.NFNL_MSG_BATCH_END, NLM_F_REQUEST, nfnetlink.header(resource=uapi.NFNL_SUBSYS_NFTABLES))


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
        self._socket = nfnetlink.connect()
        self._socket.bind((0, 0))
        self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_CAP_ACK, 1)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, uapi.SO_SNDBUFFORCE, _SEND_BUFFER)
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
        parts = [_BEGIN]
        abouts: list[str] = []
        pending: Message | None = None
        for message in messages:
            if pending is not None:
                parts.append(_request(pending, NLM_F_REQUEST, len(abouts)))
            pending = message
            abouts.append(message.about)
        if pending is None:
            return 0
        # The acknowledgement of the last message stands for all: kernels before 6.10 never acknowledge the end of a batch.
        parts.append(_request(pending, NLM_F_REQUEST | NLM_F_ACK, len(abouts)))
        if keep:
            parts.append(_END)
        self._send(b"".join(parts))
        self._await_acknowledgement(abouts)
        return len(abouts)

    def generation(self) -> int:
        """The number of the kernel's current ruleset; every commit by anybody makes it another. Raises KernelError."""
        self._drain()
        try:
            return nfnetlink.generation(self._socket)
        except OSError as error:
            raise KernelError(error.errno or errno.EIO, "a request for the generation") from error

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
                return answer[nfnetlink.HEADER_SIZE :]
        except KernelError as error:
            if not error.is_missing:
                raise
        return None

    def dump(self, kind: Kind, family: int, payload: bytes) -> list[bytes]:
        """The attributes of every object of a kind, each kernel message as it came.

        Read again while the ruleset changes, but not for ever: nearly always it is another program's table that does, and who reads ours
        a little wrong sends what is there already, which the kernel takes.
        """
        answers: list[bytes] = []
        for _ in range(_ATTEMPTS):
            answers.clear()
            with contextlib.suppress(_AgainError):
                for answer in self._exchange(kind, family, NLM_F_DUMP, payload):
                    answers.append(answer[nfnetlink.HEADER_SIZE :])  # noqa: PERF401 — kept when the dump ends in _AgainError
                break
        return answers

    def stream(self, kind: Kind, family: int, payload: bytes) -> Iterator[bytes]:
        """Like `dump`, one message at a time, and whether or not the ruleset changes meanwhile."""
        with contextlib.suppress(_AgainError):
            for answer in self._exchange(kind, family, NLM_F_DUMP, payload):
                yield answer[nfnetlink.HEADER_SIZE :]

    def _exchange(self, kind: Kind, family: int, flags: int, payload: bytes) -> Iterator[bytes]:
        self._drain()
        request = nfnetlink.header(family) + payload
        self._send(frames.message(SUBSYSTEM | kind, NLM_F_REQUEST | (flags or NLM_F_ACK), request, sequence=1))
        interrupted = False
        while True:
            for answer, answer_flags, body, _ in frames.messages(self._socket.recv(_RECEIVE)):
                interrupted |= bool(answer_flags & NLM_F_DUMP_INTR)
                if answer in (uapi.NLMSG_DONE, uapi.NLMSG_ERROR):
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
            for answer, flags, body, sequence in frames.messages(octets):
                if answer != uapi.NLMSG_ERROR:
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


def _request(message: Message, flags: int, sequence: int) -> bytes:
    return frames.message(SUBSYSTEM | message.kind, flags | message.flags, nfnetlink.header(message.family) + message.payload, sequence)


def _words(flags: int, body: bytes) -> str:
    """The kernel's own sentence about an error, if it has one (NLMSGERR_ATTR_MSG)."""
    if not flags & NLM_F_ACK_TLVS:
        return ""
    header_only = 4 + frames.HEADER_SIZE
    at = header_only if flags & NLM_F_CAPPED else 4 + int.from_bytes(body[4:8], sys.byteorder)
    for kind, value in frames.attributes(body, at):
        if kind == uapi.NLMSGERR_ATTR_MSG:
            return frames.text_of(value)
    return ""
