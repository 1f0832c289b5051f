"""Commands in batches: many messages in one send, and which of them the kernel refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from proxyconfig_agent.netlink import frames, genetlink, uapi
from proxyconfig_agent.netlink.ipvs.messages import Command

SIZE = 32 << 10
"""Bytes of one batch. It is sent ten times as fast as its messages alone, and the answers to all of it fit a socket's default buffer."""
_HEADERS = frames.HEADER_SIZE + genetlink.HEADER_SIZE


class Refusal(NamedTuple):
    """A command that the kernel refused. All others of its batch have been done: IPVS has no transactions."""

    position: int
    """Of the command among those that were sent."""
    number: int
    """The kernel's errno."""


def batches(commands: Iterable[Command]) -> Iterator[list[Command]]:
    """Cut the commands where a batch is full, in their order."""
    batch: list[Command] = []
    size = 0
    for command in commands:
        length = _HEADERS + len(command.payload)
        if batch and size + length > SIZE:
            yield batch
            batch, size = [], 0
        batch.append(command)
        size += length
    if batch:
        yield batch


def encode(family: int, batch: Sequence[Command]) -> bytes:
    """The messages of a batch, numbered from 1. The kernel acknowledges the last one and answers to every one that it refuses."""
    last = len(batch)
    return b"".join(request(family, command, sequence, sequence == last) for sequence, command in enumerate(batch, start=1))


def request(family: int, command: Command, sequence: int, acknowledge: bool) -> bytes:
    flags = uapi.NLM_F_REQUEST | uapi.NLM_F_ACK if acknowledge else uapi.NLM_F_REQUEST
    return frames.message(family, flags, genetlink.header(command.kind, uapi.IPVS_GENL_VERSION) + command.payload, sequence)


def answers(received: bytes) -> Iterator[tuple[int, int]]:
    """(sequence, errno) of each answer in a datagram; errno 0 is the acknowledgement of the last command."""
    for answer in frames.messages(received):
        if answer.kind == uapi.NLMSG_ERROR:
            yield answer.sequence, frames.error_of(answer.payload)
