"""The HTTP servers, over real sockets of the loopback interface."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import closing, suppress

import pytest
from tests.support.httpserving import ask, serving
from tests.support.polling import eventually

from proxyconfig_client.http import server
from proxyconfig_client.http.answer import Answer
from proxyconfig_client.http.server import CONNECTIONS, LONGEST_BODY, Server

HERE = "127.0.0.1"
ROUTES = {"/yes": lambda: Answer(200, b"yes"), "/no": lambda: Answer(503, b"no")}
POSTS = {"/echo": lambda body: Answer(200, body)}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of a machine that stalls for seconds is not taken for a silent one."""
    monkeypatch.setattr(server._Handler, "timeout", 60.0)


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
    with serving(Server(HERE, 0, ROUTES)) as port:
        assert ask(port, path, method) == answer


@pytest.mark.parametrize(
    ("method", "path", "body", "answer"),
    [
        ("POST", "/echo", b"as it came", (200, b"as it came")),
        ("POST", "/echo", None, (200, b"")),
        ("POST", "/echo", bytes(LONGEST_BODY + 1), (413, b"more than 65536 bytes\n")),
        ("GET", "/echo", None, (404, b"not found\n")),
        ("POST", "/yes", b"unread", (200, b"yes")),
    ],
    ids=["body", "none", "too long", "no POST", "nobody reads it"],
)
def test_the_body_of_a_post_is_answered(method: str, path: str, body: bytes | None, answer: tuple[int, bytes]) -> None:
    with serving(Server(HERE, 0, ROUTES, POSTS)) as port:
        assert ask(port, path, method, body=body) == answer


@pytest.mark.parametrize("length", ["-1", "many", "1e3"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    with serving(Server(HERE, 0, ROUTES, POSTS)) as port, closing(http.client.HTTPConnection(HERE, port, timeout=30)) as client:
        client.request("POST", "/echo", headers={"Content-Length": length})
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (400, b"Content-Length is not a number\n")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("wildcard", ["", "0.0.0.0", "::"])
def test_a_wildcard_serves_both_families(wildcard: str) -> None:
    with serving(Server(wildcard, 0, ROUTES)) as port:
        assert ask(port, "/yes", host="127.0.0.1")[0] == ask(port, "/yes", host="::1")[0] == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_serves_only_itself() -> None:
    with serving(Server("::1", 0, ROUTES)) as port:
        assert ask(port, "/yes", host="::1")[0] == 200
        with pytest.raises(ConnectionRefusedError):
            ask(port, "/yes")


def test_silent_clients_neither_pile_up_nor_shut_probes_out() -> None:
    with serving(Server(HERE, 0, ROUTES)) as port:
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

    with serving(Server(HERE, 0, ROUTES | {"/slow": slow})) as port:
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

    with serving(Server(HERE, 0, {"/metrics": broken})) as port:
        assert ask(port, "/metrics") == (500, b"internal error, see the log\n")


def _status(port: int) -> int:
    with suppress(OSError, http.client.HTTPException):
        return ask(port, "/yes")[0]
    return 0
