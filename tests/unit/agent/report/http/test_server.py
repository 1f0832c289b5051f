"""The HTTP servers, over real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
from tests.support.polling import eventually

from proxyconfig_agent.report.http import server
from proxyconfig_agent.report.http.bind_address import Bind
from proxyconfig_agent.report.http.health import Answer
from proxyconfig_agent.report.http.server import CONNECTIONS, Routes, Server, serve
from proxyconfig_agent.state.findings import Finding

ROUTES = {"/yes": lambda: Answer(200, b"yes"), "/no": lambda: Answer(503, b"no")}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of a machine that stalls for seconds is not taken for a silent one."""
    monkeypatch.setattr(server._Handler, "timeout", 60.0)


@contextmanager
def serving(host: str = "127.0.0.1", routes: Routes = ROUTES) -> Iterator[int]:
    made = Server(Bind(host, 0), routes)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made.server_port
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/yes", (200, b"yes")),
        ("GET", "/yes?verbose", (200, b"yes")),
        ("POST", "/yes", (200, b"yes")),
        ("HEAD", "/no", (503, b"")),
        ("GET", "/other", (404, b"not found\n")),
    ],
)
def test_answers(method: str, path: str, answer: tuple[int, bytes]) -> None:
    with serving() as port:
        assert ask(port, path, method) == answer


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("wildcard", ["", "0.0.0.0", "::"])
def test_a_wildcard_serves_both_families(wildcard: str) -> None:
    with serving(wildcard) as port:
        assert ask(port, "/yes", host="127.0.0.1")[0] == ask(port, "/yes", host="::1")[0] == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_serves_only_itself() -> None:
    with serving("::1") as port:
        assert ask(port, "/yes", host="::1")[0] == 200
        with pytest.raises(ConnectionRefusedError):
            ask(port, "/yes")


def test_silent_clients_neither_pile_up_nor_shut_probes_out() -> None:
    with serving() as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(3 * CONNECTIONS)]
        try:
            for _ in range(5):
                assert eventually(lambda: _status(port), within_s=60) == 200
            assert silent[0].recv(1) == b"", "the oldest was closed"
        finally:
            for each in silent:
                each.close()
        assert eventually(lambda: _status(port)) == 200


def test_clients_that_are_all_being_answered_are_not_closed_for_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ROOM_S", 0.01)
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def slow() -> Answer:
        arrived.release()
        go_on.wait(60)
        return Answer(200, b"slow")

    with serving(routes=ROUTES | {"/slow": slow}) as port:
        answers: list[tuple[int, bytes]] = []
        clients = [threading.Thread(target=lambda: answers.append(ask(port, "/slow"))) for _ in range(CONNECTIONS)]
        for client in clients:
            client.start()
        for _ in clients:
            assert arrived.acquire(timeout=60)
        assert _status(port) == 0
        go_on.set()
        for client in clients:
            client.join(60)
    assert answers == [(200, b"slow")] * CONNECTIONS


def test_a_route_that_fails_is_a_500() -> None:
    def broken() -> Answer:
        raise ValueError("a collector is broken")

    with serving(routes={"/metrics": broken}) as port:
        assert ask(port, "/metrics") == (500, b"internal error, see the agent's log\n")


def _status(port: int) -> int:
    with suppress(OSError, http.client.HTTPException):
        return ask(port, "/yes")[0]
    return 0


@pytest.mark.parametrize(
    ("text", "bind"),
    [("0.0.0.0:10256", Bind("0.0.0.0", 10256)), ("[::1]:80", Bind("::1", 80)), (":80", Bind("", 80)), ("", None)],
)
def test_addresses_to_listen_on(text: str, bind: Bind | None) -> None:
    assert Bind.parse(text) == bind


@pytest.mark.parametrize("text", ["10256", "localhost:80", "1.2.3.4:0", "1.2.3.4:70000", "::1:80"])
def test_other_texts_are_refused_with_the_syntax(text: str) -> None:
    with pytest.raises(ValueError, match=r"write IP:PORT, \[IPv6\]:PORT or :PORT"):
        Bind.parse(text)


@asynccontextmanager
async def task_of(bind: Bind, tell: Callable[[Finding | None], None]) -> AsyncIterator[None]:
    task = asyncio.create_task(serve("healthz", bind, ROUTES, tell, retry_s=0.02))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_taken_port_is_told_once_and_taken_over_when_it_is_free() -> None:
    told = asyncio.Queue[Finding | None]()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port: int = other.getsockname()[1]
        async with asyncio.timeout(60), task_of(Bind("127.0.0.1", port), told.put_nowait):
            finding = await told.get()
            assert finding is not None
            assert finding.reason == "PortTaken"
            assert f"healthz cannot listen on 127.0.0.1:{port}: Address already in use" in finding.message
            assert "kube-proxy" in finding.message
            with pytest.raises(TimeoutError):  # several attempts later
                async with asyncio.timeout(0.1):
                    await told.get()
            other.close()
            assert await told.get() is None
            assert (await asyncio.to_thread(ask, port, "/yes"))[0] == 200
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/yes")


async def test_an_address_that_the_node_lacks_is_told() -> None:
    told = asyncio.Queue[Finding | None]()
    async with asyncio.timeout(60), task_of(Bind("203.0.113.1", 1), told.put_nowait):
        finding = await told.get()
    assert finding is not None
    assert finding.reason == "CannotListen"
