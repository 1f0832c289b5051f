"""Detects changes of the rules by other programs with a system call, without starting a process.

nft: the kernel multicasts each change, and each transaction increments the generation of the ruleset.
legacy: the kernel reports the number and size of the rules of each table. A rule that is replaced by one of the same length is found by the
next full sync only.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Collection
from typing import Protocol

from proxyconfig_agent.dataplane.iptables.kernel.nft_monitor import NftMonitor
from proxyconfig_agent.dataplane.iptables.model.ruleset import Table
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import nfnetlink

_GET_INFO = 64
"""IPT_SO_GET_INFO and IP6T_SO_GET_INFO."""
_INFO = struct.Struct("=32sI5I5III")  # ipt_getinfo: table, hooks, entries of hooks, underflows, number of rules, bytes


_LEVELS = {Family.IPV4: (socket.AF_INET, socket.IPPROTO_IP), Family.IPV6: (socket.AF_INET6, socket.IPPROTO_IPV6)}


class Rules(Protocol):
    """The state of the kernel's rules, both families, in the network namespace of the thread that made this. All raise OSError."""

    def state(self) -> int: ...

    def follows(self, before: int, after: int, commits: int) -> bool:
        """Whether so many commits of ours, and nothing else, may have led from one state to the other."""
        ...

    def may_affect_us(self, before: int, after: int) -> bool:
        """Whether what others did, from one state to the other, may be about our rules. Forgets it, whatever it was."""
        ...

    def close(self) -> None: ...


class ChangeTracker:
    """Follows our own writes."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._expected: int | None = None
        self._before = 0

    def begin_read(self) -> None:
        """Forget earlier changes: the rules are about to be read."""
        self._rules.may_affect_us(0, 0)
        self._expected = self._rules.state()

    def invalidate(self) -> None:
        """Report an external change until the rules are read again."""
        self._expected = None

    def disturbed(self) -> bool:
        """Whether other programs changed our rules since the last call."""
        current = self._rules.state()
        if self._expected is None:
            return True
        expected, self._expected = self._expected, current
        return self._rules.may_affect_us(expected, current)

    def writing(self) -> None:
        """We are about to write."""
        if self._expected is not None and self.disturbed():
            self._expected = None
        self._before = self._rules.state()

    def written(self, commits: int) -> None:
        """We have written so many tables."""
        after = self._rules.state()
        self._rules.may_affect_us(self._before, after)  # our own writes, if it is only those
        undisturbed = self._before == self._expected and self._rules.follows(self._before, after, commits)
        self._expected = after if undisturbed else None

    def close(self) -> None:
        self._rules.close()


def tracker(backend: Backend, families: Collection[Family]) -> ChangeTracker:
    """Tracks the rules of these families. Raises OSError."""
    return ChangeTracker(NftRules() if backend is Backend.NFT else LegacyRules(families))


class NftRules:
    """The generation of nf_tables, and the news of it."""

    def __init__(self) -> None:
        self._monitor = NftMonitor()
        self._socket = nfnetlink.connect()

    def state(self) -> int:
        return nfnetlink.generation(self._socket)

    def may_affect_us(self, before: int, after: int) -> bool:  # noqa: ARG002 - a commit of ours is known before the kernel announces it
        return self._monitor.may_affect_us()

    def follows(self, before: int, after: int, commits: int) -> bool:
        return nfnetlink.generation_after(before, commits) == after

    def close(self) -> None:
        self._monitor.close()
        self._socket.close()


class LegacyRules:
    """The sizes of the tables, asked of any socket of the family. A kernel without IPv6 has no such socket for it (EAFNOSUPPORT)."""

    def __init__(self, families: Collection[Family]) -> None:
        with contextlib.ExitStack() as opened:
            self._sockets = {level: opened.enter_context(_socket(af)) for family, (af, level) in _LEVELS.items() if family in families}
            opened.pop_all()
        self._libc = ctypes.CDLL(None, use_errno=True)

    def state(self) -> int:
        return hash(tuple(self._info(level, sock, table) for level, sock in self._sockets.items() for table in Table))

    def _info(self, level: int, sock: socket.socket, table: Table) -> bytes:
        """What the kernel reports about a table; nothing if there is no such table, or family."""
        told = ctypes.create_string_buffer(_INFO.pack(table.value.encode(), *bytes(13)), _INFO.size)
        length = ctypes.c_uint32(_INFO.size)
        if self._libc.getsockopt(sock.fileno(), level, _GET_INFO, told, ctypes.byref(length)):
            return b""
        return told.raw

    def may_affect_us(self, before: int, after: int) -> bool:
        return before != after

    def follows(self, before: int, after: int, commits: int) -> bool:  # noqa: ARG002
        return True

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()


def _socket(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
