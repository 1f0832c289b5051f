"""The HTTP client against a scripted server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from proxyconfig_client.connection.errors import ClientError, StreamError
from proxyconfig_client.http.client import HttpClient, Timeouts

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Script:
    """Answers the n-th request with the n-th answer; `closes` says after which it closes the connection."""

    def __init__(self, *answers: bytes, closes: tuple[int, ...] = ()) -> None:
        self._answers, self._closes = list(answers), closes
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                number = len(self.requests) - 1
                writer.write(self._answers[number] if number < len(self._answers) else b"")
                await writer.drain()
                if number in self._closes:
                    break
        writer.close()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()


@contextlib.asynccontextmanager
async def served(script: Script, path: str = "") -> AsyncIterator[HttpClient]:
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    http = HttpClient(f"http://127.0.0.1:{script.port}{path}", None, {"User-Agent": "test"})
    try:
        yield http
    finally:
        await http.close()
        script.hang_up()
        server.close()


async def got(
    http: HttpClient,
    path: str = "/x",
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    timeouts: Timeouts | None = None,
) -> bytes:
    timeouts = timeouts or Timeouts(total_s=60)
    async with http.request(method, path, query={}, headers=headers or {}, body=body, timeouts=timeouts) as response:
        return await response.read(1000)


async def test_one_connection_serves_requests_one_after_the_other() -> None:
    script = Script(OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", OK)
    async with served(script) as http:
        assert [await got(http) for _ in range(3)] == [b"ok", b"abc", b"ok"]
    assert script.connections == 1


async def test_a_connection_of_some_minutes_is_not_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxyconfig_client.http.client.MAX_AGE_S", 0.0)
    script = Script(OK, OK)
    async with served(script) as http:
        assert [await got(http), await got(http)] == [b"ok", b"ok"]
    assert script.connections == 2


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    script = Script(OK, OK)
    async with served(script) as http:
        first, second = await asyncio.gather(got(http), got(http))
    assert first == second == b"ok"
    assert script.connections == 2


async def test_a_request_says_where_it_goes_and_how_long_it_is() -> None:
    script = Script(OK)
    async with (
        served(script, path="/k8s/clusters/c-1/") as http,
        http.request(
            "POST",
            "/api/v1/things",
            query={"labelSelector": "!a=b"},
            headers={"Authorization": "Bearer t"},
            body=b"{}",
            timeouts=Timeouts(),
        ),
    ):
        pass
    first, *lines = script.requests[0].decode().split("\r\n")
    assert first == "POST /k8s/clusters/c-1/api/v1/things?labelSelector=%21a%3Db HTTP/1.1"
    assert f"Host: 127.0.0.1:{script.port}" in lines
    assert "Authorization: Bearer t" in lines
    assert "Content-Length: 2" in lines


async def test_an_idle_connection_that_the_server_has_closed_does_not_fail_a_request() -> None:
    script = Script(OK, OK, closes=(0,))
    async with served(script) as http:
        assert [await got(http), await got(http)] == [b"ok", b"ok"]
    assert script.connections == 2


async def test_a_get_is_tried_again_when_the_server_closes_an_old_connection_under_it() -> None:
    script = Script(OK, b"", OK, closes=(1,))
    async with served(script) as http:
        assert [await got(http), await got(http)] == [b"ok", b"ok"]


async def test_a_post_is_not_sent_twice() -> None:
    script = Script(OK, b"", OK, closes=(1,))
    async with served(script) as http:
        await got(http)
        with pytest.raises(ConnectionResetError, match="without a response"):
            await got(http, method="POST", body=b"{}")
    assert len(script.requests) == 2


async def test_an_answer_that_was_not_read_to_its_end_takes_its_connection_with_it() -> None:
    script = Script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", OK)
    async with served(script) as http:
        async with http.request("GET", "/x", query={}, headers={}, body=None, timeouts=Timeouts()):
            pass
        assert await got(http) == b"ok"
    assert script.connections == 2


async def test_news_before_the_answer_are_no_answer() -> None:
    async with served(Script(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)) as http:
        assert await got(http) == b"ok"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP", id="another-protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "cut off", id="cut-off"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "in the headers of a response", id="endless-headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 2_000, "longer than 1000 bytes", id="too-long"),
    ],
)
async def test_nonsense_is_a_stream_error(answer: bytes, words: str) -> None:
    async with served(Script(answer, closes=(0,))) as http:
        with pytest.raises(StreamError, match=words):
            await got(http)


@pytest.mark.parametrize("timeouts", [Timeouts(silence_s=0.05), Timeouts(total_s=0.05)])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"])
async def test_a_silent_server_is_given_up(answer: bytes, timeouts: Timeouts) -> None:
    async with served(Script(OK, answer)) as http:
        await got(http)  # so that connecting is no part of what is given up
        with pytest.raises(TimeoutError):
            await got(http, timeouts=timeouts)


async def test_a_server_that_is_not_there_is_an_os_error() -> None:
    script = Script()
    async with served(script):
        pass
    http = HttpClient(f"http://127.0.0.1:{script.port}", None, {})
    with pytest.raises(OSError, match=str(script.port)):
        await got(http)


async def test_a_token_with_a_line_break_is_not_sent() -> None:
    script = Script(OK)
    async with served(script) as http:
        with pytest.raises(ClientError, match="line break"):
            async with http.request(
                "GET", "/x", query={}, headers={"Authorization": "Bearer a\r\nHost: b"}, body=None, timeouts=Timeouts()
            ):
                pass
    assert not script.requests


async def test_a_reader_who_is_slow_slows_the_server_and_loses_nothing() -> None:
    body = bytes(range(256)) * 40_000
    received = bytearray()
    async with (
        served(Script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)) as http,
        http.request("GET", "/x", query={}, headers={}, body=None, timeouts=Timeouts(total_s=60)) as answer,
    ):
        async for block in answer.blocks():
            received += block
            await asyncio.sleep(0)
    assert received == body
