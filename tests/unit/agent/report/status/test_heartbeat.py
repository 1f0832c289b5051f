"""When an agent renews its Lease, and what is in it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime
from typing import Any

from tests.support import virtualtime

from proxyconfig_agent.report.status.heartbeat import Heartbeat
from proxyconfig_api.objects.heartbeat import GRACE_S, LABELS, RENEW_S
from proxyconfig_client.connection.errors import ApiError
from proxyconfig_client.process.clock import Clock

LEASES = "/apis/coordination.k8s.io/v1/namespaces/proxyconfig-system/leases"


class Server:
    """The Leases of an API server, and when each was written; refuses while `failing`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.leases: dict[str, dict[str, Any]] = {}
        self.written: list[float] = []
        self.failing = False

    async def call(self, method: str, path: str, *, body: Any, content_type: str) -> bytes:
        if self.failing:
            raise ApiError(503, "ServiceUnavailable", "etcd is away")
        if method == "POST":
            assert (path, content_type) == (LEASES, "application/json")
        elif path not in self.leases:
            raise ApiError(404, "NotFound", "leases not found")
        self.leases[f"{LEASES}/{body['metadata']['name']}"] = body
        self.written.append(self._clock.monotonic())
        return b"{}"

    def renewals_s(self) -> list[float]:
        return [later - sooner for sooner, later in zip(self.written, self.written[1:], strict=False)]


def test_a_lease_is_created_then_renewed_well_within_its_grace() -> None:
    async def scenario(clock: Clock) -> Server:
        server = Server(clock)
        await during(3600, Heartbeat(server.call, "n1", lambda: "uid-1", clock=clock))
        return server

    server = virtualtime.run(scenario)
    (lease,) = server.leases.values()
    assert lease["metadata"]["labels"] == LABELS
    assert lease["metadata"]["ownerReferences"] == [
        {"apiVersion": "proxyconfig.dev/v1alpha1", "kind": "NodeProxy", "name": "n1", "uid": "uid-1"}
    ]
    assert lease["spec"]["leaseDurationSeconds"] == GRACE_S
    assert datetime.fromisoformat(lease["spec"]["renewTime"]).timestamp() >= virtualtime.START_S + 3600 - RENEW_S
    assert all(0.75 * RENEW_S <= pause <= RENEW_S for pause in server.renewals_s()[1:])


def test_a_status_that_is_not_current_is_not_vouched_for() -> None:
    async def scenario(clock: Clock) -> tuple[int, int]:
        server, uid = Server(clock), [""]
        task = asyncio.create_task(Heartbeat(server.call, "n1", lambda: uid[0], clock=clock, chance=lambda: 1.0).run())
        await asyncio.sleep(600)
        before = len(server.written)
        uid[0] = "uid-1"
        await asyncio.sleep(5)
        task.cancel()
        return before, len(server.written)

    assert virtualtime.run(scenario) == (0, 1), "and at once when it is current"


def test_an_api_server_that_comes_back_gets_the_renewals_of_all_nodes_over_half_a_minute() -> None:
    """They have started together, and failed together for an hour."""

    async def scenario(clock: Clock) -> list[float]:
        server = Server(clock)
        beats = [Heartbeat(server.call, f"n{node}", lambda: "u", clock=clock, chance=random.Random(node).random) for node in range(200)]
        tasks = [asyncio.create_task(beat.run()) for beat in beats]
        server.failing = True
        await asyncio.sleep(3600)
        server.failing, back = False, clock.monotonic()
        await asyncio.sleep(RENEW_S)
        for task in tasks:
            task.cancel()
        return [at - back for at in server.written]

    written = virtualtime.run(scenario)
    assert len(written) >= 200
    assert max(Counter(int(at) for at in written).values()) <= 30


def test_the_lease_of_a_later_nodeproxy_belongs_to_that() -> None:
    async def scenario(clock: Clock) -> list[str]:
        server, uid = Server(clock), ["uid-1"]
        task = asyncio.create_task(Heartbeat(server.call, "n1", lambda: uid[0], clock=clock).run())
        await asyncio.sleep(1)
        owners = [owner_of(server)]
        uid[0] = "uid-2"
        server.leases.clear()  # the garbage collector has taken it with the first one
        await asyncio.sleep(RENEW_S)
        task.cancel()
        return [*owners, owner_of(server)]

    assert virtualtime.run(scenario) == ["uid-1", "uid-2"]


def test_each_process_has_a_name_of_its_own() -> None:
    async def scenario(clock: Clock) -> set[str]:
        return {Heartbeat(Server(clock).call, "n1", lambda: "u", clock=clock).holder for _ in range(10)}

    assert len(virtualtime.run(scenario)) == 10


def owner_of(server: Server) -> str:
    (lease,) = server.leases.values()
    return str(lease["metadata"]["ownerReferences"][0]["uid"])


async def during(seconds: float, heartbeat: Heartbeat) -> None:
    task = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(seconds)
    task.cancel()
