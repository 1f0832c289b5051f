"""One leader, at whatever moment who stops, hangs or is cut off; in virtual time, against a Lease that refuses stale writes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
from tests.support import virtualtime

from proxyconfig_client.connection.errors import ApiError, ConfigurationError
from proxyconfig_client.process.clock import Clock
from proxyconfig_operator.app.leader_election import DURATION_S, GIVE_UP_S, RELEASE_S, RENEW_S, Lease

Object = dict[str, Any]


class Server:
    """One Lease, with resourceVersions. `away`: the identities that do not reach it; `hangs`: it answers nobody; `failing`: with what."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.away: set[str] = set()
        self.hangs = False
        self.failing: Exception | None = None
        self._version = 0

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""

    def api(self, identity: str) -> Api:
        return Api(self, identity)

    def read(self) -> bytes:
        if self.lease is None:
            raise ApiError(404, "NotFound", "no such lease")
        return msgspec.json.encode(self.lease)

    def write(self, method: str, body: Object) -> bytes:
        known = self.lease["metadata"]["resourceVersion"] if self.lease else None
        if (method == "POST") is (known is not None) or (known is not None and body["metadata"]["resourceVersion"] != known):
            raise ApiError(409, "Conflict", "the object has been modified")
        self._version += 1
        stored: Object = msgspec.json.decode(msgspec.json.encode(body))
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.lease = stored
        return b"{}"


class Api:
    def __init__(self, server: Server, identity: str) -> None:
        self._server, self._identity = server, identity

    async def get(self, path: str) -> bytes:
        assert path == "/apis/coordination.k8s.io/v1/namespaces/ns/leases/op"
        await self._reach()
        return self._server.read()

    async def call(self, method: str, path: str, *, body: Any) -> bytes:
        assert path.startswith("/apis/coordination.k8s.io/v1/namespaces/ns/leases")
        await self._reach()
        return self._server.write(method, body)

    async def _reach(self) -> None:
        await asyncio.sleep(0.01)
        if self._server.hangs:
            await asyncio.Event().wait()
        if self._server.failing is not None:
            raise self._server.failing
        if self._identity in self._server.away:
            raise ConnectionResetError("cut off")


def lease(server: Server, identity: str, clock: Clock) -> Lease:
    return Lease(server.api(identity), "ns", "op", identity, clock.monotonic)


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> Any:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_the_first_one_leads_and_a_second_one_waits_while_it_renews() -> None:
    async def scenario(clock: Clock) -> None:
        server = Server()
        first, second = lease(server, "a", clock), lease(server, "b", clock)
        await first.acquire()
        async with running(first.hold()), running(second.acquire()) as waiting:
            await asyncio.sleep(10 * DURATION_S)
            assert (server.holder, waiting.done()) == ("a", False)

    virtualtime.run(scenario)


def test_of_two_that_start_at_once_one_leads() -> None:
    async def scenario(clock: Clock) -> None:
        server = Server()
        async with running(lease(server, "a", clock).acquire()) as a, running(lease(server, "b", clock).acquire()) as b:
            await asyncio.sleep(DURATION_S - 1)
            assert [a.done(), b.done()].count(True) == 1

    virtualtime.run(scenario)


def test_one_that_is_killed_is_followed_after_the_duration_of_its_lease() -> None:
    async def scenario(clock: Clock) -> float:
        server = Server()
        await lease(server, "a", clock).acquire()
        killed = clock.monotonic()
        await lease(server, "b", clock).acquire()
        assert server.holder == "b"
        return clock.monotonic() - killed

    assert DURATION_S <= virtualtime.run(scenario) <= DURATION_S + 2 * RENEW_S


def test_one_that_is_cut_off_stops_before_the_next_one_may_start() -> None:
    async def scenario(clock: Clock) -> None:
        server = Server()
        first, second = lease(server, "a", clock), lease(server, "b", clock)
        await first.acquire()
        async with running(second.acquire()) as waiting:
            await asyncio.sleep(RENEW_S)
            server.away.add("a")
            cut = clock.monotonic()
            await first.hold()
            assert clock.monotonic() - cut <= GIVE_UP_S + 3 * RENEW_S
            assert not waiting.done(), "two would lead"
            await waiting
            assert server.holder == "b"

    virtualtime.run(scenario)


def test_a_server_that_hangs_ends_the_lead_in_time() -> None:
    async def scenario(clock: Clock) -> float:
        server = Server()
        first = lease(server, "a", clock)
        await first.acquire()
        server.hangs = True
        began = clock.monotonic()
        await first.hold()
        return clock.monotonic() - began

    assert virtualtime.run(scenario) < DURATION_S + RENEW_S


def test_who_releases_the_lease_is_followed_at_once() -> None:
    async def scenario(clock: Clock) -> float:
        server = Server()
        first = lease(server, "a", clock)
        await first.acquire()
        await first.release()
        released = clock.monotonic()
        await lease(server, "b", clock).acquire()
        return clock.monotonic() - released

    assert virtualtime.run(scenario) < RENEW_S


def test_a_lease_of_somebody_else_is_not_released() -> None:
    async def scenario(clock: Clock) -> str:
        server = Server()
        await lease(server, "a", clock).acquire()
        await lease(server, "b", clock).release()
        return server.holder

    assert virtualtime.run(scenario) == "a"


def test_a_release_takes_no_longer_than_a_process_has_that_ends() -> None:
    async def scenario(clock: Clock) -> float:
        server = Server()
        first = lease(server, "a", clock)
        await first.acquire()
        server.hangs = True
        began = clock.monotonic()
        await first.release()
        return clock.monotonic() - began

    assert virtualtime.run(scenario) <= RELEASE_S + 0.1


def test_what_the_wall_clocks_say_decides_nothing() -> None:
    """Its holder stamps renewTime years ahead, and its Lease ends all the same."""

    async def scenario(clock: Clock) -> str:
        server = Server()
        await lease(server, "a", clock).acquire()
        assert server.lease is not None
        server.lease["spec"]["renewTime"] = "2099-01-01T00:00:00.000000Z"
        await lease(server, "b", clock).acquire()
        return server.holder

    assert virtualtime.run(scenario) == "b"


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ssl.SSLCertVerificationError("certificate verify failed"), id="certificate"),
        pytest.param(ApiError(401, "Unauthorized", "Unauthorized"), id="credentials"),
        pytest.param(ConfigurationError("cannot read the token file"), id="token-file"),
    ],
)
def test_it_notes_since_when_trust_fails_until_a_proper_response(failure: Exception) -> None:
    async def scenario(clock: Clock) -> None:
        server = Server()
        waiting, began, server.failing = lease(server, "a", clock), clock.monotonic(), failure
        async with running(waiting.acquire()):
            await asyncio.sleep(600)
            assert waiting.distrusted_since is not None
            assert waiting.distrusted_since - began < RENEW_S
            server.failing = ConnectionRefusedError()
            await asyncio.sleep(60)
            assert waiting.distrusted_since is not None, "nothing has shown that it is trusted again"
            server.failing = ApiError(403, "Forbidden", "leases is forbidden")
            await asyncio.sleep(60)
            assert waiting.distrusted_since is None

    virtualtime.run(scenario)


def test_an_api_server_that_is_away_says_nothing_about_trust() -> None:
    async def scenario(clock: Clock) -> float | None:
        server = Server()
        waiting, server.failing = lease(server, "a", clock), ConnectionRefusedError()
        async with running(waiting.acquire()):
            await asyncio.sleep(600)
            return waiting.distrusted_since

    assert virtualtime.run(scenario) is None
