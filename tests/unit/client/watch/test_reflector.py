from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.support.polling import soon
from tests.unit.client.fakeserver import PATH, FakeServer, bookmark, event, served, status

from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.errors import ApiError, StreamError
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.watch.objects import Cache, Key, Metadata
from proxyconfig_client.watch.reflector import Reflector
from proxyconfig_client.watch.state import ReflectorState


class Thing(msgspec.Struct, frozen=True):
    metadata: Metadata
    value: int = 0


class Setup:
    def __init__(self, server: FakeServer, connection: ApiClient, reflector: Reflector[Thing], cache: Cache[Thing]) -> None:
        self.server, self.connection, self.reflector, self.cache = server, connection, reflector, cache
        self.aside: list[tuple[Key, str]] = []

    def values(self) -> dict[str, int]:
        return {key.name: thing.value for key, thing in self.cache.items.items()}


@contextlib.asynccontextmanager
async def following(server: FakeServer, **options: Any) -> AsyncIterator[Setup]:
    async with served(server) as connection:
        cache = Cache[Thing]()
        aside: list[tuple[Key, str]] = []
        reflector = Reflector(
            connection,
            PATH,
            msgspec.json.Decoder(Thing, strict=False).decode,
            cache,
            backoff=Backoff(first_s=0.01, cap_s=0.05),
            relist_spread_s=0.0,
            on_undecodable=lambda key, reason: aside.append((key, reason)),
            **options,
        )
        setup = Setup(server, connection, reflector, cache)
        setup.aside = aside
        task = asyncio.create_task(reflector.run())
        try:
            yield setup
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture(params=[pytest.param(True, id="watchlist"), pytest.param(False, id="list")])
def server(request: pytest.FixtureRequest) -> FakeServer:
    return FakeServer(streams_lists=request.param)


async def test_what_exists_and_what_changes_arrives(server: FakeServer) -> None:
    for number in range(3):
        await server.put(f"t{number}", number)
    async with following(server) as f:
        await f.reflector.synced.wait()
        assert f.values() == {"t0": 0, "t1": 1, "t2": 2}
        await server.put("t1", 11)
        await server.delete("t0")
        await server.put("new", 7)
        await soon(lambda: f.values() == {"t1": 11, "t2": 2, "new": 7})


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
async def test_a_long_list_is_one_answer(separators: tuple[str, str]) -> None:
    server = FakeServer(streams_lists=False)
    server.separators = separators
    for number in range(1203):
        await server.put(f"t{number}", number)
    async with following(server) as f:
        await f.reflector.synced.wait()
        assert len(f.values()) == 1203
        assert len([request for request in server.requests if "watch" not in request]) == 1


async def test_a_broken_stream_is_resumed_where_it_broke(server: FakeServer) -> None:
    await server.put("a", 1)
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.cut()
        await server.put("b", 2)
        await soon(lambda: f.values() == {"a": 1, "b": 2})
        assert f.reflector.counters.lists == 1


async def test_deletions_that_the_watch_missed_are_seen_after_a_new_list(server: FakeServer) -> None:
    await server.put("stays", 1)
    await server.put("goes", 2)
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        server.answers = [status(503, "ServiceUnavailable", "starting") for _ in range(2)]
        await server.cut()
        await server.delete("goes")
        await server.put("stays", 3)
        server.compact()
        await soon(lambda: f.values() == {"stays": 3})
        assert f.reflector.counters.lists == 2


async def test_an_expired_version_in_the_stream_lists_again(server: FakeServer) -> None:
    await server.put("a", 1)
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        server.things.pop("a")
        await server.say(event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"}))
        await soon(lambda: f.values() == {})


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"not json\n", id="no-json"),
        pytest.param(b'{"type":"ADDED","object":{}}{"type"\n', id="trailing"),
        pytest.param(b'{"type":"EXPLODED","object":{}}\n', id="unknown-type"),
        pytest.param(b"[1,2]\n", id="no-object"),
        pytest.param(b'{"type":"DELETED","object":{"metadata":7}}\n', id="nameless-deletion"),
        pytest.param(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":[]}}}\n', id="nonsensical-bookmark"),
        pytest.param(b'{"type":"ADDED","object":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", id="bottomless"),
        pytest.param(b'{"type":"ERROR","object":{"kind":"Status","code":"x"}}\n', id="nonsensical-error"),
        pytest.param(gzip.compress(bytes(10_000_000)) + b"\n", id="gzip-bomb"),
        pytest.param(b"\xff\xfe\x00\n", id="no-utf-8"),
        pytest.param(b'{"kind":"PodList","apiVersion":"v1","items":[]}\n', id="wrong-kind"),
    ],
)
async def test_a_stream_that_talks_nonsense_is_dropped_and_resumed(server: FakeServer, raw: bytes) -> None:
    await server.put("a", 1)
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.say(raw)
        await soon(lambda: f.reflector.counters.interruptions == 1)
        await server.put("b", 2)
        await soon(lambda: f.values() == {"a": 1, "b": 2})


@pytest.mark.parametrize("cut", [1, 20, 60, -2])
async def test_a_stream_that_ends_inside_an_object_is_resumed_without_loss(server: FakeServer, cut: int) -> None:
    await server.put("a", 1)
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.say(event("MODIFIED", {"metadata": {"name": "a", "namespace": "n", "resourceVersion": "999"}, "value": 999})[:cut])
        await server.cut()
        await server.put("b", 2)
        await soon(lambda: f.values() == {"a": 1, "b": 2})


async def test_an_object_of_another_kind_is_set_aside() -> None:
    server = FakeServer()
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.say(event("ADDED", {"kind": "Other", "metadata": {"name": "o", "resourceVersion": "101"}, "value": {"deep": []}}))
        await server.say(event("ADDED", {"kind": "Other", "metadata": []}))
        await server.put("a", 1)
        await soon(lambda: f.values() == {"a": 1})
        assert [key.name for key, _ in f.aside] == ["o"]
        assert f.reflector.counters.interruptions == 0


async def test_a_version_that_the_server_does_not_accept_is_forgotten() -> None:
    server = FakeServer()
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.say(bookmark(4711).replace(b"4711", b"banana"))
        server.answers = [status(400, "BadRequest", "invalid resource version")]
        await server.cut()
        await server.put("a", 1)
        await soon(lambda: f.values() == {"a": 1})
        assert f.reflector.counters.lists == 2


async def test_a_server_cannot_silence_us_for_long() -> None:
    server = FakeServer()
    async with served(server) as connection:
        for after in ("99999999999", "²", "-1", "soon"):
            answer = status(429, "TooManyRequests", "later")
            answer.headers["Retry-After"] = after
            server.answers = [answer]
            with pytest.raises(ApiError) as refusal:
                await connection.get(PATH)
            assert refusal.value.retry_after_s <= 60


async def test_an_answer_without_end_is_given_up() -> None:
    server = FakeServer(streams_lists=False)
    async with served(server, response_limit=10_000) as connection:
        server.answers = [web.Response(body=b"x" * 20_000)]
        with pytest.raises(StreamError, match="longer than 10000 bytes"):
            await connection.get(PATH)


async def test_an_object_that_cannot_be_decoded_is_set_aside_alone(server: FakeServer) -> None:
    await server.put("bad", 1)
    async with following(server) as f:
        await f.reflector.synced.wait()
        await server.put("bad", "not a number")
        await server.put("good", 2)
        await soon(lambda: f.values() == {"bad": 1, "good": 2})
        assert [(str(key), "value" in reason) for key, reason in f.aside] == [("n/bad", True)]
        assert f.reflector.counters.interruptions == 0


async def test_an_undecodable_object_in_a_list_does_not_count_as_deleted() -> None:
    server = FakeServer()
    await server.put("bad", 1)
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.cut()
        await server.put("bad", [])
        server.compact()
        server.oldest += 1
        await soon(lambda: f.reflector.counters.lists >= 2)
        assert f.values() == {"bad": 1}


async def test_numbers_written_as_strings_are_read_leniently(server: FakeServer) -> None:
    await server.put("a", "17")
    async with following(server) as f:
        await f.reflector.synced.wait()
        assert f.values() == {"a": 17}


async def test_a_bookmark_moves_the_place_to_resume_from() -> None:
    server = FakeServer()
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        server.version = 4711
        await server.say(bookmark(4711))
        await server.put("a", 1)
        await soon(lambda: f.values() == {"a": 1})
        server.version += 100
        await server.say(bookmark(server.version))
        await server.say(b"nonsense\n")
        await soon(lambda: server.requests[-1].get("resourceVersion") == str(server.version))


async def test_a_silent_stream_is_taken_for_dead() -> None:
    server = FakeServer()
    async with following(server, silence_s=0.1) as f:
        await soon(lambda: f.reflector.counters.interruptions >= 1)
        await server.put("a", 1)
        await soon(lambda: f.values() == {"a": 1})


async def test_an_unbounded_line_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxyconfig_client.watch.lines.lines_of.__defaults__", (1000,))
    server = FakeServer()
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.say(b"x" * 2000)
        await soon(lambda: f.reflector.counters.interruptions == 1)
        await server.put("a", 1)
        await soon(lambda: f.values() == {"a": 1})


async def test_an_optional_resource_that_the_server_does_not_have_is_empty() -> None:
    server = FakeServer()
    server.answers = [status(404, "NotFound", "the server could not find the requested resource")]
    async with following(server, optional=True) as f:
        await f.reflector.synced.wait()
        assert f.values() == {}


async def test_a_resource_that_has_to_exist_is_asked_for_until_it_does() -> None:
    server = FakeServer()
    server.answers = [status(404, "NotFound", "not yet"), web.Response(status=500, text="<html>no json</html>")]
    await server.put("a", 1)
    async with following(server) as f:
        await f.reflector.synced.wait()
        assert f.values() == {"a": 1}
        assert f.reflector.counters.interruptions == 2


async def test_selectors_are_sent_with_every_request(server: FakeServer) -> None:
    async with following(server, label_selector="!skip", field_selector="spec.x!=None") as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        assert all((r["labelSelector"], r["fieldSelector"]) == ("!skip", "spec.x!=None") for r in server.requests)


def test_waits_double_up_to_the_cap_with_jitter() -> None:
    lower, upper = Backoff(1, 8, chance=lambda: 0.0), Backoff(1, 8, chance=lambda: 1.0)
    assert [lower.wait_s() for _ in range(5)] == [0.5, 1, 2, 4, 4]
    assert [upper.wait_s() for _ in range(5)] == [1, 2, 4, 8, 8]
    upper.succeeded()
    assert upper.wait_s() == 1


@pytest.mark.parametrize("streams_lists", [True, False])
async def test_a_server_restored_from_a_backup_is_listed_anew(streams_lists: bool) -> None:
    server = FakeServer(streams_lists=streams_lists)
    await server.put("kept", 1)
    backup = server.backup()
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.put("kept", 2)
        await server.put("born-after-backup", 3)
        await soon(lambda: f.values() == {"kept": 2, "born-after-backup": 3})
        await server.restore(backup)
        await soon(lambda: f.values() == {"kept": 1})
        assert f.reflector.counters.lists == 2
        await server.put("later", 4)
        await soon(lambda: f.values() == {"kept": 1, "later": 4})


async def test_a_streamed_list_that_breaks_off_after_a_deletion_is_listed_anew() -> None:
    server = FakeServer()
    await server.put("a", 1)
    await server.put("b", 2)
    cut = web.Response(body=event("ADDED", server.things["a"]) + event("DELETED", server.things["a"]), content_type="application/json")
    server.answers = [cut]
    async with following(server) as f:
        await f.reflector.synced.wait()
        assert f.values() == {"a": 1, "b": 2}
        assert [request.get("resourceVersion") for request in server.requests] == [None, None]


@pytest.mark.parametrize(
    "past",
    [
        pytest.param(bookmark(62), id="bookmark"),
        pytest.param(event("ADDED", {"metadata": {"name": "x", "namespace": "n", "resourceVersion": "62"}, "value": 1}), id="object"),
        pytest.param(event("ADDED", {"metadata": {"name": "x", "namespace": "n", "resourceVersion": "62"}, "value": []}), id="undecodable"),
        pytest.param(event("DELETED", {"metadata": {"name": "a", "namespace": "n", "resourceVersion": "62"}}), id="deletion"),
    ],
)
async def test_an_older_version_in_a_watch_is_not_believed_but_listed_anew(server: FakeServer, past: bytes) -> None:
    await server.put("a", 1)
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.say(past)
        await soon(lambda: f.reflector.counters.lists == 2)
        assert (f.values(), f.aside) == ({"a": 1}, [])


async def test_a_version_that_the_server_has_not_reached_is_forgotten(server: FakeServer) -> None:
    await server.put("a", 1)
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        server.answers = [status(504, "Timeout", "Timeout: Too large resource version: 103, current: 62")]
        await server.cut()
        await soon(lambda: f.reflector.counters.lists == 2)


async def test_a_watch_that_the_server_ends_in_order_is_resumed_without_another_request() -> None:
    server = FakeServer()
    async with following(server) as f:
        await soon(lambda: f.reflector.synced.is_set() and server.open_streams == 1)
        await server.put("a", 1)
        await soon(lambda: f.values() == {"a": 1})
        await server.end_streams()
        await soon(lambda: len(server.requests) >= 2 and server.open_streams == 1)
        assert [request.get("resourceVersion") for request in server.requests] == [None, "101"]


@pytest.mark.parametrize("streams_lists", [True, False])
async def test_a_field_selector_that_the_server_does_not_support_is_left_out(streams_lists: bool) -> None:
    server = FakeServer(streams_lists=streams_lists)
    server.field_labels = ("metadata.name",)
    await server.put("a", 1)
    async with following(server, optional_field_selector="spec.clusterIP!=None", label_selector="!skip") as f:
        await f.reflector.synced.wait()
        assert f.values() == {"a": 1}
        assert server.requests[0]["fieldSelector"] == "spec.clusterIP!=None"
        assert "fieldSelector" not in server.requests[-1]
        assert server.requests[-1]["labelSelector"] == "!skip"
        assert f.reflector.counters.interruptions == 0


async def test_its_state_says_whether_it_is_connected_and_why_not() -> None:
    server = FakeServer()
    server.answers = [status(403, "Forbidden", "things is forbidden") for _ in range(2)]
    seen: list[ReflectorState] = []
    async with following(server) as f:
        f.reflector.on_state = seen.append
        await soon(lambda: f.reflector.state.error)
        state = f.reflector.state
        assert (state.path, state.synced, state.connected, state.error) == (PATH, False, False, "things is forbidden (HTTP 403)")
        await soon(lambda: f.reflector.state.connected and f.reflector.state.synced)
        assert (f.reflector.state.error, f.reflector.state.interruptions, f.reflector.state.lists) == ("", 2, 1)
        await server.put("bad", "not a number")
        await soon(lambda: f.reflector.state.undecodable == 1)
        await server.cut()
        await soon(lambda: f.reflector.state.error)
        assert f.reflector.state.synced
    assert any(state.connected for state in seen)
    assert not seen[-1].connected


async def test_the_state_of_a_resource_that_the_server_does_not_have_is_absent() -> None:
    server = FakeServer()
    server.answers = [status(404, "NotFound", "the server could not find the requested resource")]
    async with following(server, optional=True) as f:
        await f.reflector.synced.wait()
        state = f.reflector.state
        assert (state.synced, state.absent, state.error) == (True, True, "")
