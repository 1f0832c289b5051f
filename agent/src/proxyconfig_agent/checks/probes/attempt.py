"""One attempt to get an answer from a target, by asyncio's sockets. Raises OSError with why there is none."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from proxyconfig_agent.checks.probes import dns
from proxyconfig_agent.checks.probes.model import Kind, Target
from proxyconfig_agent.ingest.model import Family, text_of

_LENGTH = struct.Struct(">H")
_ENOUGH = 64
"""Bytes of an HTTP answer that are read: its first line begins in them."""
_NUMBERS = 1 << 16
_LONGEST = 4096


class _WrongAnswerError(OSError):
    """Something answers, and not as it should."""


async def attempt(target: Target) -> None:
    """Return when the target has answered as its kind says."""
    await _WAYS[target.kind](target)


async def _tcp(target: Target) -> None:
    async with _connected(target):
        pass


async def _http(target: Target) -> None:
    """A status from 200 to 399, as for a kubelet's probe."""
    async with _connected(target) as (reader, writer):
        writer.write(f"GET {target.path or '/'} HTTP/1.1\r\nHost: {target.endpoint}\r\nConnection: close\r\n\r\n".encode())
        words = (await reader.read(_ENOUGH)).split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise _WrongAnswerError("the answer is not HTTP")
    if not 200 <= int(words[1]) < 400:
        raise _WrongAnswerError(f"HTTP status {int(words[1])}")


async def _dns_tcp(target: Target) -> None:
    number = secrets.randbelow(_NUMBERS)
    question = dns.query(number, target.address)
    async with _connected(target) as (reader, writer):
        writer.write(_LENGTH.pack(len(question)) + question)
        try:
            answer = await reader.readexactly(_LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0])
        except asyncio.IncompleteReadError as error:
            raise _WrongAnswerError("the connection ends without an answer") from error
    if wrong := dns.trouble(number, answer):
        raise _WrongAnswerError(wrong)


async def _dns_udp(target: Target) -> None:
    number = secrets.randbelow(_NUMBERS)
    async with _datagrams(target) as (send, receive):
        send(dns.query(number, target.address))
        while (wrong := dns.trouble(number, await receive())) is None:
            pass  # a late answer to another query
    if wrong:
        raise _WrongAnswerError(wrong)


async def _udp(target: Target) -> None:
    """Any answer to an empty datagram; a Service that never answers one fails before a change as well, and gates nothing."""
    async with _datagrams(target) as (send, receive):
        send(b"")
        await receive()


_WAYS: Mapping[Kind, Callable[[Target], Awaitable[None]]] = {
    Kind.TCP: _tcp,
    Kind.HTTP: _http,
    Kind.UDP: _udp,
    Kind.DNS_UDP: _dns_udp,
    Kind.DNS_TCP: _dns_tcp,
}


@asynccontextmanager
async def _connected(target: Target) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Aborted at the end: it leaves neither a half-open connection nor a wait for the peer."""
    reader, writer = await asyncio.open_connection(text_of(target.address), target.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def _datagrams(target: Target) -> AsyncIterator[tuple[Callable[[bytes], object], Callable[[], Awaitable[bytes]]]]:
    """From a new port: each attempt is a new flow, for which the rules of now decide.

    A socket, as asyncio's transports do not send empty datagrams."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET if target.family is Family.IPV4 else socket.AF_INET6, socket.SOCK_DGRAM) as flow:
        flow.setblocking(False)
        flow.connect((text_of(target.address), target.port))
        yield flow.send, lambda: loop.sock_recv(flow, _LONGEST)
