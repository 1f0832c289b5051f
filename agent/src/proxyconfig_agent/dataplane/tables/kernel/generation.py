"""Transactions, and whether anybody else made one: every commit by anybody gives the kernel's ruleset its next number."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from proxyconfig_agent.netlink.nfnetlink import generation_after
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Message


class Writer:
    """Counts its own commits along with the kernel."""

    def __init__(self, kernel: Connection) -> None:
        self._kernel = kernel
        self._expected: int | None = None
        self.beside: list[Writer] = []

    def join(self, other: Writer) -> None:
        """Another writer of this agent, to other tables: what one of them commits is no external change to the other."""
        self.beside.append(other)
        other.beside.append(self)

    @contextmanager
    def begin_read(self) -> Iterator[None]:
        """Reading and repairing the tables begins. If it fails halfway, they count as changed externally until they are read again."""
        try:
            self._expected = self._kernel.generation()
            yield
        except BaseException:
            self.invalidate()
            raise

    def invalidate(self) -> None:
        """What is known of the kernel is wrong: report an external change until the tables are read again."""
        self._expected = None

    def changed_externally(self) -> bool:
        """Whether the ruleset is another than our own commits made of it, since the last time this was asked."""
        current = self._kernel.generation()
        if self._expected is None:
            return True
        expected, self._expected = self._expected, current
        return current != expected

    def commit(self, messages: Iterable[Message]) -> None:
        """One atomic transaction; nothing at all if there are no messages. Raises KernelError."""
        if self._kernel.commit(messages):
            for each in (self, *self.beside):
                each.count()

    def count(self) -> None:
        """One of them has committed."""
        if self._expected is not None:
            self._expected = generation_after(self._expected)

    def attempt(self, messages: Iterable[Message]) -> bool:
        """A transaction that may fail, even to be encoded; whether it did not."""
        try:
            self.commit(messages)
        except (KernelError, ArithmeticError, LookupError, TypeError, ValueError, struct.error):
            return False
        return True
