"""A real kernel that says no when it is asked to: the socket with faults injected in front of it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Message

Fault = Callable[[Message], int]
"""The errno with which a message is refused; 0: it is not."""


class FaultyConnection(Connection):
    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault
        self.refusals = 0

    def commit(self, messages: Iterable[Message], *, keep: bool = True) -> int:
        listed = list(messages)
        for message in listed:
            if number := self.fault(message):
                self.refusals += 1
                raise KernelError(number, message.about)
        return super().commit(listed, keep=keep)


def mentioning(words: bytes, number: int = errno.ENOMEM) -> Fault:
    """Every message that has these octets is refused."""
    return lambda message: number if words in message.payload else 0


def of_family(protocol: int, words: bytes, number: int = errno.EOPNOTSUPP) -> Fault:
    """Every message of one family that has these octets is refused."""
    return lambda message: number if message.family == protocol and words in message.payload else 0


def nothing(_: Message) -> int:
    return 0
