"""An address that cannot be listened on is reported, and tried again. Over real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from tests.support.httpserving import ask

from proxyconfig_agent.report.http.bind_address import Bind
from proxyconfig_agent.report.http.listening import serve
from proxyconfig_agent.state.findings import Finding
from proxyconfig_client.http.answer import Answer

ROUTES = {"/yes": lambda: Answer(200, b"yes")}


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
