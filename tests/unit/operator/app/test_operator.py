"""The operator as a whole, against an API server over HTTP, in virtual time: it leads, lists, works, and ends; a standby writes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable

import pytest
from tests.support import virtualtime
from tests.unit.operator.app.apiserver import CONFIGS, ApiServer

from proxyconfig_api.objects import names
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.process.clock import Clock
from proxyconfig_operator.app.leader_election import Lease
from proxyconfig_operator.app.operator import Operator
from proxyconfig_operator.app.options import Settings, parse
from proxyconfig_operator.apply.apiserver import Kube

DELIVERY_S = 0.02


def settings() -> Settings:
    return parse(["--agent-image", "registry.test/agent:1", "--identity", "me", "--healthz-bind-address", "127.0.0.1:0"], {})


@contextlib.asynccontextmanager
async def running(server: ApiServer, clock: Clock) -> AsyncIterator[asyncio.Task[bool]]:
    """One operator at work, ended at the end."""
    async with server.serving() as config, ApiClient(config, user_agent="test") as connection:
        lease = Lease(connection, names.NAMESPACE, names.OPERATOR, "me", clock.monotonic)
        operator = Operator(settings(), config, connection, Kube(config, names.NAMESPACE), lease, clock=clock.monotonic)
        task = asyncio.create_task(operator.run())
        try:
            yield task
        finally:
            if not task.done():
                ask_to_end()
            await task


def ask_to_end() -> None:
    """As kubelet does."""
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, "nobody handles it"
    signal.raise_signal(signal.SIGTERM)


async def eventually(probe: Callable[[], object]) -> None:
    """Wait until `probe` says yes."""
    async with asyncio.timeout(600):
        while not probe():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(1)


async def some_time(server: ApiServer) -> None:
    """As long as the operator takes to ask for the Lease some more times."""
    until = server.lease_reads + 3
    await eventually(lambda: server.lease_reads >= until)


def test_the_leader_lists_and_then_works() -> None:
    async def scenario(clock: Clock) -> None:
        server = ApiServer()
        async with running(server, clock):
            await eventually(lambda: server.written)
            assert server.holder == "me"
            assert CONFIGS in server.listed

    virtualtime.run(scenario, DELIVERY_S)


def test_a_standby_neither_lists_nor_writes_while_another_one_leads() -> None:
    async def scenario(clock: Clock) -> None:
        server = ApiServer(holder="another")
        async with running(server, clock) as task:
            await some_time(server)
            assert not task.done()
            assert (server.listed, server.written) == ([], [])
            server.lease["spec"]["holderIdentity"] = ""
            await eventually(lambda: server.written)

    virtualtime.run(scenario, DELIVERY_S)


@pytest.mark.parametrize("resource", ["nodes", "nodeproxies", "pods", "controllerrevisions", "leases", "proxyconfigs", "daemonsets"])
def test_nothing_is_written_while_a_list_is_not_complete(resource: str) -> None:
    async def scenario(clock: Clock) -> None:
        server = ApiServer()
        server.unlisted = (resource,)
        async with running(server, clock):
            await eventually(lambda: server.holder == "me")
            await some_time(server)
            assert server.written == []
            server.unlisted = ()
            await eventually(lambda: server.written)

    virtualtime.run(scenario, DELIVERY_S)


def test_an_operator_that_loses_the_lease_ends_its_work_and_does_not_release_the_lease() -> None:
    async def scenario(clock: Clock) -> ApiServer:
        server = ApiServer()
        async with running(server, clock) as task:
            await eventually(lambda: server.written)
            server.renews = False
            assert await task is True, "it waits to lead again"
        return server

    assert not virtualtime.run(scenario, DELIVERY_S).released


def test_an_operator_that_is_asked_to_end_gives_the_lease_up_after_its_last_write() -> None:
    async def scenario(clock: Clock) -> ApiServer:
        server = ApiServer()
        async with running(server, clock) as task:
            await eventually(lambda: server.written)
            ask_to_end()
            assert await task is False
        return server

    server = virtualtime.run(scenario, DELIVERY_S)
    assert (server.holder, server.released, server.writers) == ("", True, {"me"})
