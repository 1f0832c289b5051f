"""What probes ask: DNS and HTTP, answered by an event loop in a thread, on sockets of a namespace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

from tests.support.netns.namespace import Namespace

DNS, HTTP, FAULTY, MUTE = 53, 80, 503, 9
_ANSWER = 0x81

Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.contextmanager
def serving(space: Namespace, address: str) -> Iterator[None]:
    """On all ports of an address of the namespace, until the end."""
    streams = {port: space.call(_stream, address, port) for port in (DNS, HTTP, FAULTY)}
    datagrams, mute = (space.call(_datagrams, address, port) for port in (DNS, MUTE))
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(streams, datagrams, ready, stop),))
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
        mute.close()


async def _serve(streams: dict[int, socket.socket], datagrams: socket.socket, ready: threading.Event, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    answers: dict[int, Streams] = {DNS: _dns, HTTP: _http(200), FAULTY: _http(503)}
    servers = [await asyncio.start_server(answers[port], sock=s) for port, s in streams.items()]
    transport, _ = await loop.create_datagram_endpoint(_DnsDatagrams, sock=datagrams)
    ready.set()
    await stop.wait()
    transport.close()
    for server in servers:
        server.close()
    await asyncio.sleep(0)  # transports close in the next turn of the loop


class _DnsDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(_answered(data), addr)


async def _dns(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        length = await reader.readexactly(2)
        writer.write(length + _answered(await reader.readexactly(int.from_bytes(length))))
        await writer.drain()
    writer.close()


def _http(status: int) -> Streams:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {status} Words\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    return answer


def _answered(question: bytes) -> bytes:
    """The same question with the flag of a response: a name that is there, without records."""
    return question[:2] + bytes((_ANSWER,)) + question[3:]


def _stream(address: str, port: int) -> socket.socket:
    return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)


def _datagrams(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made
