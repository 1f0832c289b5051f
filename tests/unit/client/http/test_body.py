"""Where the body of an answer ends, however the network cuts it, and what is no HTTP."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_client.errors import StreamError
from proxyconfig_client.http.body import Chunked, Framing, Sized, UntilClosed, framing_of
from proxyconfig_client.http.client import parsed


def cut(octets: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(octets), *(place % (len(octets) + 1) for place in cuts)})
    return [octets[start:end] for start, end in pairwise(places)]


def chunked(chunks: list[bytes], behind: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + behind + b"\r\n"


@given(chunks=st.lists(st.binary(min_size=1, max_size=40)), cuts=st.lists(st.integers(0, 500)))
def test_a_chunked_body_is_whole_however_it_is_cut(chunks: list[bytes], cuts: list[int]) -> None:
    framing = Chunked()
    assert b"".join(map(framing.feed, cut(chunked(chunks, b"Trailer: x\r\n"), cuts))) == b"".join(chunks)
    assert framing.done
    assert framing.exact


@given(body=st.binary(max_size=40), cuts=st.lists(st.integers(0, 50)))
def test_a_body_is_as_long_as_its_length_says(body: bytes, cuts: list[int]) -> None:
    framing = Sized(len(body))
    assert b"".join(map(framing.feed, cut(body, cuts))) == body
    assert framing.done


@pytest.mark.parametrize(
    "framing",
    [pytest.param(Sized(5), id="sized"), pytest.param(Chunked(), id="chunked")],
)
def test_a_body_that_breaks_off_is_an_error(framing: Framing) -> None:
    framing.feed(b"4")
    with pytest.raises(StreamError):
        framing.close()


@pytest.mark.parametrize("framing", [Sized(2), Chunked()])
def test_a_connection_with_something_behind_the_body_is_not_used_again(framing: Framing) -> None:
    framing.feed(b"xx!" if isinstance(framing, Sized) else chunked([b"xx"]) + b"!")
    assert framing.done
    assert not framing.exact


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"zz\r\n", id="no-number"),
        pytest.param(b"-1\r\n", id="negative"),
        pytest.param(b"1_0\r\n", id="python's-underscore"),
        pytest.param(b"f" * 20 + b"\r\n", id="endless-chunk"),
        pytest.param(b"1\r\nab\r\n", id="longer-than-it-says"),
        pytest.param(b"1" * 5000, id="endless-line"),
    ],
)
def test_nonsense_between_chunks_is_an_error(octets: bytes) -> None:
    with pytest.raises(StreamError):
        Chunked().feed(octets)


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (200, {"transfer-encoding": "chunked", "content-length": "7"}, Chunked),
        (200, {"content-length": "7"}, Sized),
        (204, {}, Sized),
        (200, {}, UntilClosed),
    ],
)
def test_headers_say_how_the_body_is_framed(status: int, headers: dict[str, str], kind: type) -> None:
    assert isinstance(framing_of(status, headers), kind)


@pytest.mark.parametrize("headers", [{"transfer-encoding": "gzip, chunked"}, {"content-length": "-1"}, {"content-length": "1e3"}])
def test_framing_that_we_did_not_ask_for_is_an_error(headers: dict[str, str]) -> None:
    with pytest.raises(StreamError):
        framing_of(200, headers)


@given(head=st.binary(max_size=200), body=st.lists(st.binary(max_size=60), max_size=6))
def test_whatever_a_server_says_is_an_answer_or_a_stream_error(head: bytes, body: list[bytes]) -> None:
    for beginning in (
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1 429 \r\nContent-Length:",
    ):
        try:
            status, _, headers = parsed(beginning + head)
            framing = framing_of(status, headers)
            for octets in body:
                framing.feed(octets)
            framing.close()
        except StreamError:
            pass


def test_trailers_without_end_are_given_up() -> None:
    framing = Chunked()
    framing.feed(b"0\r\n")
    with pytest.raises(StreamError, match="trailers"):
        framing.feed(b"X: y\r\n" * 10_000)
