"""Requests to connection tracking and its answers, through a separate socket. The only module that knows ctnetlink."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from proxyconfig_agent.netlink import frames, nfnetlink, uapi
from proxyconfig_agent.netlink.conntrack.requests import Kind, Request

_BUFFER = 1 << 18
_BATCH = 256


class Refusal(NamedTuple):
    position: int
    """Of the request."""
    number: int
    """The kernel's errno."""


def dump(family: int, question: bytes) -> Iterator[bytes]:
    """The entries of AF_INET or AF_INET6, each as the kernel's payload, that match the attributes `question`. Raises OSError."""
    with contextlib.closing(nfnetlink.connect()) as ctnetlink:
        ctnetlink.send(Request(Kind.GET, question, uapi.NLM_F_DUMP).framed(family))
        while True:
            for kind, _, payload, _ in frames.messages(ctnetlink.recv(_BUFFER)):
                if frames.is_end(kind, payload):
                    return
                yield payload


def commit(family: int, requests: Sequence[Request]) -> list[Refusal]:
    """Carry them out in their order; those that the kernel refused, the others being done. Raises OSError."""
    refused: list[Refusal] = []
    with contextlib.closing(nfnetlink.connect()) as ctnetlink:
        for start in range(0, len(requests), _BATCH):
            refused += _commit(ctnetlink, family, requests[start : start + _BATCH], start)
    return refused


def _commit(ctnetlink: socket.socket, family: int, batch: Sequence[Request], start: int) -> Iterator[Refusal]:
    """The kernel answers to what fails, and to the last one in any case."""
    *others, last = batch
    parts = [request.framed(family, sequence) for sequence, request in enumerate(others, 1)]
    parts.append(last._replace(flags=last.flags | uapi.NLM_F_ACK).framed(family, len(batch)))
    ctnetlink.send(b"".join(parts))
    while True:
        for answer in frames.messages(ctnetlink.recv(_BUFFER)):
            if number := frames.error_of(answer.payload):
                yield Refusal(start + answer.sequence - 1, number)
            if answer.sequence == len(batch):
                return
