"""Servers on health check node ports (row 131), over real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support.polling import soon
from tests.unit.agent.examples import ip

from proxyconfig_agent.ingest.model import ANY, Address, Family, ServiceName
from proxyconfig_agent.report.healthcheck import ports as healthports
from proxyconfig_agent.report.healthcheck import server
from proxyconfig_agent.report.healthcheck.ports import HealthPorts, Unopened
from proxyconfig_agent.report.healthcheck.response import response
from proxyconfig_agent.report.healthcheck.server import CONNECTIONS
from proxyconfig_agent.select.healthchecks import HealthCheck

WEB = ServiceName("shop", "web")
HERE = (ip("127.0.0.1"),)
GET = b"GET /anything HTTP/1.1\r\nHost: node\r\n\r\n"


class Ports(HealthPorts):
    """With its inputs and findings."""

    def __init__(self) -> None:
        self.is_healthy = True
        self.told: list[Sequence[Unopened]] = []
        super().__init__(lambda: self.is_healthy, self.told.append, lambda: 1_700_000_000.0)


@pytest.fixture
async def ports() -> AsyncIterator[Ports]:
    made = Ports()
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def free_port(family: socket.AddressFamily = socket.AF_INET, but: int = 0) -> int:
    """On every address; of both families, if it is IPv6."""
    with socket.socket(family) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("", 0))
        port = int(sock.getsockname()[1])
    return port if port != but else free_port(family, but)


def check(port: int, endpoints: int = 1, family: Family = Family.IPV4) -> HealthCheck:
    return HealthCheck(WEB, family, port, endpoints)


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether the kernel takes a connection; the servers need not run for that."""
    try:
        socket.create_connection((host, port), timeout=30).close()
    except OSError:
        return False
    return True


async def opened(port: int, host: str = "127.0.0.1") -> None:
    await soon(lambda: listens(port, host))


async def closed(port: int, host: str = "127.0.0.1") -> None:
    await soon(lambda: not listens(port, host))


@contextlib.asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(port: int, request: bytes = GET, host: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    async with connected(port, host) as (reader, writer):
        return await answered(reader, writer, request)


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes = GET) -> tuple[int, dict[str, str], bytes]:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = b"" if request.startswith(b"HEAD") else await reader.readexactly(int(headers["Content-Length"]))
    return int(head[0].split()[1]), headers, body


@pytest.mark.parametrize(("endpoints", "healthy", "status"), [(2, True, 200), (0, True, 503), (2, False, 503), (0, False, 503)])
async def test_row_131_the_answer_is_kube_proxys(ports: Ports, endpoints: int, healthy: bool, status: int) -> None:
    port = free_port()
    ports.is_healthy = healthy
    ports.serve([check(port, endpoints)], HERE)
    await opened(port)
    got, headers, body = await ask(port)
    assert got == status
    assert headers["X-Load-Balancing-Endpoint-Weight"] == str(endpoints)
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert body.decode() == (
        '{\n\t"service": {\n\t\t"namespace": "shop",\n\t\t"name": "web"\n\t},\n'
        f'\t"localEndpoints": {endpoints},\n\t"serviceProxyHealthy": {json.dumps(healthy)}\n}}'
    )


async def test_row_131_a_count_changes_on_an_open_connection(ports: Ports) -> None:
    port = free_port()
    ports.serve([check(port, 1)], HERE)
    await opened(port)
    async with connected(port) as (reader, writer):
        for endpoints in (1, 0, 3):
            ports.serve([check(port, endpoints)], HERE)
            writer.write(GET)
            head = await reader.readuntil(b"\r\n\r\n")
            assert f"Weight: {endpoints}\r\n".encode() in head
            await reader.readuntil(b"}")
            await reader.readuntil(b"}")


async def test_row_131_ports_open_move_and_close_with_their_services(ports: Ports) -> None:
    first = free_port()
    second = free_port(but=first)
    ports.serve([check(first)], HERE)
    await opened(first)
    async with connected(first) as (reader, writer):
        await answered(reader, writer)  # a connection that nobody has accepted yet would be reset
        ports.serve([check(second)], HERE)
        await opened(second)
        assert not listens(first)
        assert await reader.read() == b""
    ports.serve([], HERE)
    await closed(second)


async def test_row_131_servers_follow_the_addresses_of_node_ports(ports: Ports) -> None:
    port = free_port()
    ports.serve([check(port)], (ip("127.0.0.1"), ip("127.0.0.2")))
    await opened(port)
    await opened(port, "127.0.0.2")
    assert not listens(port, "127.0.0.3")
    async with connected(port) as (reader, writer):
        ports.serve([check(port)], (ip("127.0.0.1"), ip("127.0.0.3")))
        await opened(port, "127.0.0.3")
        assert not listens(port, "127.0.0.2")
        writer.write(GET)
        assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"


async def test_families_have_servers_of_their_own_on_the_same_port(ports: Ports) -> None:
    port = free_port(socket.AF_INET6)
    ports.serve([check(port, 1), check(port, 0, Family.IPV6)], tuple(ANY.values()))
    await opened(port)
    await opened(port, "::1")
    assert [(await ask(port, host=host))[0] for host in ("127.0.0.1", "::1")] == [200, 503]


async def test_a_port_that_is_taken_is_told_once_and_opened_when_it_is_free(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthports, "RETRY_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port: int = other.getsockname()[1]
        ports.serve([check(port)], HERE)
        await soon(lambda: ports.told)
        (unopened,) = ports.told[0]
        assert str(unopened) == f"spec.healthCheckNodePort {port} of Service shop/web on 127.0.0.1: Address already in use"
    await opened(port)
    await soon(lambda: len(ports.told) > 1)
    assert ports.told[1:] == [()]


async def test_an_address_that_the_node_lacks_does_not_keep_the_others_closed(ports: Ports) -> None:
    port = free_port()
    ports.serve([check(port)], (Address(bytes((192, 0, 2, 1))), *HERE))
    await opened(port)
    await soon(lambda: ports.told)  # when all have been tried
    assert [each.taken for each in ports.told[0]] == [False]


def connections(ports: Ports) -> int:
    return sum(len(listener.connections) for listener in ports._open.values())


async def test_silent_connections_neither_pile_up_nor_shut_load_balancers_out(ports: Ports) -> None:
    port = free_port()
    ports.serve([check(port)], HERE)
    await opened(port)
    async with contextlib.AsyncExitStack() as open_ones, connected(port) as (reader, writer):
        await answered(reader, writer)
        first, _ = await open_ones.enter_async_context(connected(port))
        for _ in range(CONNECTIONS - 2):
            await open_ones.enter_async_context(connected(port))
        await soon(lambda: connections(ports) == CONNECTIONS)
        await answered(reader, writer)
        assert (await ask(port))[0] == 200, "one more is served"
        assert await first.read() == b"", "the one that has gone longest without a request made way"
        assert (await answered(reader, writer))[0] == 200
        assert connections(ports) <= CONNECTIONS
    await soon(lambda: not connections(ports))


async def test_a_client_that_sends_and_never_reads_costs_no_memory_and_gets_all_responses_once_it_reads(ports: Ports) -> None:
    port, requests = free_port(), 2_000_000 // len(GET)
    ports.serve([check(port)], HERE)
    await opened(port)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    with client:
        await asyncio.to_thread(client.connect, ("127.0.0.1", port))
        client.settimeout(1)
        flood, sent = GET * requests, 0
        tracemalloc.start()
        try:
            with contextlib.suppress(TimeoutError):
                while sent < len(flood):
                    sent += await asyncio.to_thread(client.send, memoryview(flood)[sent : sent + 65536])
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
        assert sent < len(flood), "what is not answered is not read"
        client.settimeout(60)
        complete, received = sent // len(GET), b""
        while received.count(b"HTTP/1.1 200 OK") < complete:
            received += await asyncio.to_thread(client.recv, 1 << 20)


async def test_a_request_that_dribbles_in_and_a_response_that_is_not_read_are_cut_off(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.5)
    port = free_port()
    ports.serve([check(port)], HERE)
    await opened(port)
    async with connected(port) as (reader, writer):

        async def dribble() -> None:
            for octet in GET[:-1] * 1000:
                writer.write(bytes([octet]))
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert not dribbling.done()
        dribbling.cancel()
    async with connected(port) as (reader, writer):
        await answered(reader, writer)
        writer.write(GET * 50_000)
        await soon(lambda: not connections(ports))


async def test_pipelined_requests_are_answered_in_turn_with_those_of_other_connections(ports: Ports) -> None:
    port = free_port()
    ports.serve([check(port)], HERE)
    await opened(port)
    async with connected(port) as (many, flood), connected(port) as (reader, writer):
        flood.write(GET * 100)
        assert (await answered(reader, writer))[0] == 200
        for _ in range(100):
            assert (await many.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
            await many.readuntil(b"true\n}")
        assert (await answered(many, flood))[0] == 200


@pytest.mark.parametrize(
    ("request_", "status", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", 200, True),
        (b"GET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n", 200, False),
        (b"GET / HTTP/1.0\r\n\r\n", 200, False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, True),
        (b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n\r\n", 200, True),
        (b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 5\r\n\r\n", 200, False),
        (b"POST / HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n", 200, False),
        (b"GET / HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200, True),
        (b"GET / HTTP/2.0\r\n\r\n", 400, False),
        (b"GET /\r\n\r\n", 400, False),
        (b"nonsense\r\n\r\n", 400, False),
        (b"\x16\x03\x01 a TLS client\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400, False),
    ],
)
def test_responses_follow_the_rules_of_http_about_connections(request_: bytes, status: int, keep_alive: bool) -> None:
    answer = response(request_, check(80), healthy=True, now_s=0)
    assert (int(answer.octets.split()[1]), answer.keep_alive) == (status, keep_alive)


async def test_a_request_without_end_is_cut_off(ports: Ports) -> None:
    port = free_port()
    ports.serve([check(port)], HERE)
    await opened(port)
    async with connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
