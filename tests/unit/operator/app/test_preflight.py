"""What an operator finds before it starts, and what it says when something is missing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from proxyconfig_api.objects import names
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ConfigurationError
from proxyconfig_operator.app.preflight import PLURALS, check


class Server:
    """Serves our resources; `refuses` lists of them with a status, the first `busy` requests with 503."""

    def __init__(self, served: tuple[str, ...] = PLURALS, *, refuses: int = 0, busy: int = 0) -> None:
        self.served, self.refuses, self.busy = served, refuses, busy

    async def group(self, _: web.Request) -> web.Response:
        if self.busy:
            self.busy -= 1
            return web.Response(status=503)
        return web.json_response({"resources": [{"name": each} for each in self.served]}) if self.served else web.Response(status=404)

    async def objects(self, _: web.Request) -> web.Response:
        return web.json_response({"message": "not allowed"}, status=self.refuses) if self.refuses else web.json_response({"items": []})


@contextlib.asynccontextmanager
async def checked(server: Server) -> AsyncIterator[tuple[ApiClient, ClientConfig]]:
    app = web.Application()
    app.router.add_get(f"/apis/{names.API_VERSION}", server.group)
    app.router.add_get(f"/apis/{names.API_VERSION}/{{plural}}", server.objects)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = ClientConfig(f"http://127.0.0.1:{runner.addresses[0][1]}")
    async with ApiClient(config, user_agent="test") as client:
        yield client, config
    await runner.cleanup()


async def test_with_everything_there_it_starts() -> None:
    async with checked(Server()) as (client, config):
        await check(client, config)


async def test_a_server_that_has_just_started_gets_its_time() -> None:
    server = Server(busy=1)
    async with checked(server) as (client, config):
        await check(client, config)
    assert server.busy == 0


@pytest.mark.parametrize(
    ("served", "missing"), [(("nodeproxies",), "proxyconfigs"), ((), "proxyconfigs and nodeproxies")], ids=["one-crd", "no-crd"]
)
async def test_crds_that_are_missing_are_named_with_the_fix(served: tuple[str, ...], missing: str) -> None:
    async with checked(Server(served)) as (client, config):
        with pytest.raises(ConfigurationError, match=f"does not serve {missing}: kubectl apply -f crds/ first"):
            await check(client, config)


async def test_rights_that_are_missing_are_said_with_the_servers_words() -> None:
    async with checked(Server(refuses=403)) as (client, config):
        with pytest.raises(ConfigurationError, match=r"not allowed .*check the operator's RBAC and token"):
            await check(client, config)


async def test_a_server_that_is_not_there_is_said_with_its_address() -> None:
    config = ClientConfig("http://127.0.0.1:1")
    async with ApiClient(config, user_agent="test") as client:
        with pytest.raises(ConfigurationError, match=r"cannot reach the API server at http://127.0.0.1:1: .*KUBERNETES_SERVICE_HOST"):
            await check(client, config)
