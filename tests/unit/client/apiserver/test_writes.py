from __future__ import annotations

import asyncio

import pytest
from tests.support.clock import FakeClock
from tests.unit.client.fakeserver import FakeServer, served, status

from proxyconfig_client.apiserver.apply import apply
from proxyconfig_client.apiserver.client import path_of
from proxyconfig_client.apiserver.events import Events, Reference
from proxyconfig_client.connection.errors import ApiError, is_conflict

SERVICE = Reference("v1", "Service", "web", "shop", "uid-1")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (path_of("v1", "nodes"), "/api/v1/nodes"),
        (path_of("v1", "services", "web", namespace="shop"), "/api/v1/namespaces/shop/services/web"),
        (path_of("apps/v1", "daemonsets", "x", namespace="n", subresource="status"), "/apis/apps/v1/namespaces/n/daemonsets/x/status"),
    ],
)
def test_paths_are_those_of_the_api(path: str, expected: str) -> None:
    assert path == expected


async def test_apply_names_its_manager_and_forces() -> None:
    server = FakeServer()
    async with served(server, token="t") as connection:
        await apply(connection, path_of("v1", "nodes", "n1", subresource="status"), {"kind": "Node"}, manager="me")
    assert server.bodies == [("PATCH", "/api/v1/nodes/n1/status?fieldManager=me&force=true", {"kind": "Node"})]


async def test_a_refusal_carries_the_servers_words() -> None:
    server = FakeServer()
    server.answers = [status(409, "Conflict", "conflict with other: .spec.x")]
    async with served(server) as connection:
        with pytest.raises(ApiError, match=r"conflict with other: \.spec\.x \(HTTP 409\)") as refusal:
            await apply(connection, "/api/v1/x", {}, manager="me", force=False)
    assert is_conflict(refusal.value)


async def test_a_repeated_event_is_counted_and_not_piled_up() -> None:
    server, clock = FakeServer(), FakeClock()
    async with served(server) as connection:
        events = Events(connection, "agent", "node-1", clock=clock.clock)
        for _ in range(3):
            await events.post(SERVICE, "Quarantined", "cannot be programmed", action="Program", kind="Warning")
            clock.set_wall(-3600)  # what was posted is not posted again, and does not wait for its minute, because the clock was set
        clock.advance(61)
        await events.post(SERVICE, "Quarantined", "cannot be programmed", action="Program", kind="Warning")
        await events.post(SERVICE, "Quarantined", "other words", action="Program", kind="Warning")
    assert [method for method, _, _ in server.bodies] == ["POST", "PATCH", "POST"]
    first = server.bodies[0][2]
    assert first["regarding"] == {"apiVersion": "v1", "kind": "Service", "name": "web", "namespace": "shop", "uid": "uid-1"}
    assert first["eventTime"] == "2023-11-14T22:13:20.000000Z"
    assert server.bodies[1][2]["series"]["count"] == 4


async def test_an_object_whose_name_leads_elsewhere_gets_no_event() -> None:
    server = FakeServer()
    async with served(server) as connection:
        events, odd = Events(connection, "agent", "n"), Reference("v1", "Service", "../../secrets", "..")
        await events.post_once(odd, "R", "note", action="A")
        await events.post(odd, "R", "note", action="A")
    assert (server.bodies, server.requests) == ([], [])


async def test_what_many_say_alike_is_posted_once() -> None:
    server = FakeServer()
    async with served(server) as connection:
        for node in ("a", "b", "a"):
            await Events(connection, "agent", node).post_once(SERVICE, "Quarantined", "no", action="Program", kind="Warning")
        assert [body["reportingInstance"] for _, _, body in server.bodies] == ["a"]
        await Events(connection, "agent", "b").post_once(SERVICE, "Quarantined", "other words", action="Program", kind="Warning")
        await Events(connection, "agent", "b").post_once(
            Reference("v1", "Service", "web", "shop", "uid-2"), "Quarantined", "no", action="P"
        )
    assert len(server.created) == len(server.bodies) == 3


async def test_of_two_that_look_at_the_same_moment_one_is_told_that_it_is_there() -> None:
    server = FakeServer()
    async with served(server) as connection:
        both = [Events(connection, "agent", node).post_once(SERVICE, "Quarantined", "no", action="Program") for node in ("a", "b")]
        await asyncio.gather(*both)
    assert len(server.created) == 1


async def test_a_long_note_is_cut_to_what_the_api_takes() -> None:
    server = FakeServer()
    async with served(server) as connection:
        await Events(connection, "agent", "n").post(SERVICE, "R", "ü" * 2000, action="A")
    assert len(server.bodies[0][2]["note"].encode()) <= 1000


async def test_an_event_that_is_refused_harms_nothing() -> None:
    server = FakeServer()
    server.answers = [status(403, "Forbidden", "no")]
    async with served(server) as connection:
        await Events(connection, "agent", "n").post(SERVICE, "R", "note", action="A")
