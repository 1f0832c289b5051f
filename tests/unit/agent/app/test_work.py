"""The agent as it is wired: the source of its orders. Without an order nothing of the node is touched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.polling import soon

from proxyconfig_agent.app.options import parse
from proxyconfig_agent.app.wiring import work
from proxyconfig_agent.ingest.model import Node, NodeName
from proxyconfig_agent.report.metrics.eventloop import Turns
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_api.objects.names import API_VERSION
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ConfigurationError

NODEPROXIES = f"/apis/{API_VERSION}/nodeproxies"


class Server:
    """An API server that has nothing, and notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    @property
    def orders_asked(self) -> list[str]:
        """The field selectors of the requests for NodeProxies."""
        return [selector for _, path, selector in self.asked if path == NODEPROXIES]

    @property
    def writes(self) -> list[str]:
        return [path for method, path, _ in self.asked if method != "GET"]

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path, request.query.get("fieldSelector", "")))
        return web.json_response({"kind": "Status", "code": 503, "reason": "ServiceUnavailable", "message": "not now"}, status=503)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[ClientConfig]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield ClientConfig(server=f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def working(server: Server, *flags: str) -> AsyncIterator[asyncio.Task[None]]:
    options = parse(["--node-name", "here", "--metrics-bind-address", "", *flags], {})
    async with server.serving() as config, ApiClient(config, user_agent="test") as connection:
        cluster = ClusterState(Node(NodeName(options.node)))
        task = asyncio.ensure_future(work(options, connection, cluster, Informers(connection, cluster), Turns()))
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_an_agent_asks_for_the_nodeproxy_of_its_own_node_and_writes_nothing_before_it_has_one() -> None:
    server = Server()
    async with working(server, "--healthz-bind-address", "") as task:
        await soon(lambda: server.orders_asked, within_s=60)
        assert not task.done()
    assert set(server.orders_asked) == {"metadata.name=here"}
    assert server.writes == []


async def test_an_agent_with_a_configuration_file_asks_no_api_server_what_to_do(tmp_path: Path) -> None:
    server, file = Server(), tmp_path / "config.yaml"
    file.write_text("mode: nftables\n")
    with pytest.raises(ExceptionGroup) as raised:
        async with working(server, "--healthz-bind-address", "", "--config", str(file)) as task:
            await task
    assert raised.group_contains(ConfigurationError, match="config.yaml is not valid", depth=2)
    assert server.orders_asked == []
