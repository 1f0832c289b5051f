"""Parsing of responses, however the network cuts them, and refusal of what is no HTTP."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_client.connection.errors import StreamError
from proxyconfig_client.http.parser import OVERHEAD_LIMIT, ResponseParser

CUTS = st.lists(st.integers(0, 500))
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def sized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def chunked(chunks: list[bytes], trailer: bytes = b"") -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


def parsed(octets: bytes, cuts: list[int] | None = None) -> tuple[ResponseParser, bytes]:
    parser, places = ResponseParser(), sorted({0, len(octets), *(place % (len(octets) + 1) for place in cuts or [])})
    return parser, b"".join([parser.feed(octets[start:end]) for start, end in pairwise(places)])


@given(chunks=st.lists(st.binary(min_size=1, max_size=40)), cuts=CUTS)
def test_a_chunked_body_is_whole_however_it_is_cut(chunks: list[bytes], cuts: list[int]) -> None:
    parser, body = parsed(chunked(chunks, b"Trailer: x\r\n"), cuts)
    assert body == b"".join(chunks)
    assert (parser.done, parser.reusable) == (True, True)


@given(body=st.binary(max_size=40), cuts=CUTS)
def test_a_body_is_as_long_as_its_length_says(body: bytes, cuts: list[int]) -> None:
    parser, found = parsed(sized(body), cuts)
    assert found == body
    assert (parser.status, parser.reason, parser.headers) == (200, "OK", {"content-length": str(len(body))})
    assert (parser.done, parser.reusable) == (True, True)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    parser, body = parsed(b"HTTP/1.1 200 OK\r\n\r\nabc", [30, 20])
    assert (body, parser.done) == (b"abc", False)
    parser.close()
    assert (parser.done, parser.reusable) == (True, False)


@pytest.mark.parametrize(
    "octets", [pytest.param(b"", id="nothing"), pytest.param(b"HTTP/1.1 200", id="head"), sized(b"12345")[:-1], chunked([b"12345"])[:-7]]
)
def test_a_response_that_is_cut_off_is_an_error(octets: bytes) -> None:
    parser, _ = parsed(octets)
    with pytest.raises(StreamError, match="cut off"):
        parser.close()


@pytest.mark.parametrize("behind", [b"!", sized(b"another"), b"\r\nHTTP/1.1 500 \r\n"])
@pytest.mark.parametrize("octets", [sized(b"xx"), chunked([b"xx"])])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_connection_with_something_behind_the_body_is_not_reused(octets: bytes, behind: bytes, at_once: bool) -> None:
    parser, body = parsed(octets + behind, [] if at_once else [len(octets)])
    assert (body, parser.done, parser.reusable) == (b"xx", True, False)
    assert parser.status == 200


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_a_connection_that_the_server_will_close_is_not_reused(head: bytes) -> None:
    parser, body = parsed(head + b"Content-Length: 2\r\n\r\nok")
    assert (body, parser.done, parser.reusable) == (b"ok", True, False)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_statuses_have_no_body(status: bytes) -> None:
    assert parsed(b"HTTP/1.1 " + status + b"\r\n\r\n")[0].done


@given(cuts=CUTS)
def test_interim_responses_are_passed_over(cuts: list[int]) -> None:
    parser, body = parsed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + sized(b"ok"), cuts)
    assert (parser.status, parser.reason, parser.headers, body) == (200, "OK", {"content-length": "2"}, b"ok")


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP", id="another-protocol"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", "HTTP/2.0", id="another-version"),
        pytest.param(b"HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "another protocol", id="upgrade"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "encoding 'gzip'", id="gzip"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "gzip, chunked", id="gzip-chunked"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not HTTP", id="negative-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n", "not HTTP", id="odd-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "not HTTP", id="two-lengths"),
        pytest.param(CHUNKED[:-2] + b"Content-Length: 7\r\n\r\n", "not HTTP", id="length-and-chunks"),
        pytest.param(CHUNKED + b"zz\r\n", "not HTTP", id="no-chunk-length"),
        pytest.param(CHUNKED + b"-1\r\n", "not HTTP", id="negative-chunk"),
        pytest.param(CHUNKED + b"1_0\r\n", "not HTTP", id="python's-underscore"),
        pytest.param(CHUNKED + b"f" * 20 + b"\r\n", "not HTTP", id="endless-chunk"),
        pytest.param(CHUNKED + b"1\r\nab\r\n", "not HTTP", id="chunk-longer-than-it-says"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * OVERHEAD_LIMIT, "in the headers", id="endless-header"),
        pytest.param(b"HTTP/1.1 100 x\r\n\r\n" * OVERHEAD_LIMIT, "in the headers", id="endless-interim-responses"),
        pytest.param(CHUNKED + b"1;" + b"x" * OVERHEAD_LIMIT, "between chunks", id="endless-chunk-extension"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: y\r\n" * OVERHEAD_LIMIT, "between chunks", id="endless-trailers"),
    ],
)
@pytest.mark.parametrize("size", [pytest.param(1 << 16, id="blocks"), pytest.param(1 << 30, id="at-once")])
def test_what_is_no_response_is_an_error(octets: bytes, words: str, size: int) -> None:
    parser = ResponseParser()
    blocks = (octets[start : start + size] for start in range(0, len(octets), size))
    with pytest.raises(StreamError, match=words):
        list(map(parser.feed, blocks))


@given(head=st.binary(max_size=200), body=st.lists(st.binary(max_size=60), max_size=6))
def test_whatever_a_server_sends_is_a_response_or_a_stream_error(head: bytes, body: list[bytes]) -> None:
    for beginning in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, b"HTTP/1.1 429 \r\nContent-Length:"):
        parser = ResponseParser()
        try:
            for octets in (beginning + head, *body):
                parser.feed(octets)
            parser.close()
        except StreamError:
            pass
