"""Transactions, and whether anybody else made one: every commit by anybody gives the kernel's ruleset its next number."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Message

_GENERATIONS = 1 << 32


class Writer:
    """Counts its own commits along with the kernel."""

    def __init__(self, kernel: Connection) -> None:
        self._kernel = kernel
        self._expected: int | None = None

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Read what the kernel has from now on, and make it what it is to be. If that fails halfway, be `disturbed` afterwards."""
        try:
            self._expected = self._kernel.generation()
            yield
        except BaseException:
            self.doubt()
            raise

    def doubt(self) -> None:
        """Our picture of the kernel is wrong: be `disturbed` until it is read `anew`."""
        self._expected = None

    def disturbed(self) -> bool:
        """Whether the ruleset is another than our own commits made of it, since the last time this was asked."""
        current = self._kernel.generation()
        if self._expected is None:
            return True
        expected, self._expected = self._expected, current
        return current != expected

    def commit(self, messages: Iterable[Message]) -> None:
        """One atomic transaction; nothing at all if there are no messages. Raises KernelError."""
        if self._kernel.commit(messages) and self._expected is not None:
            self._expected = (self._expected + 1) % _GENERATIONS or 1

    def attempt(self, messages: Iterable[Message]) -> bool:
        """A transaction that may fail, even to be encoded; whether it did not."""
        try:
            self.commit(messages)
        except (KernelError, ArithmeticError, LookupError, TypeError, ValueError, struct.error):
            return False
        return True
