"""Rotation of certificate authorities, client certificates and tokens while a client is in use, against a real HTTPS server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from pathlib import Path

import aiohttp
import msgspec
import pytest
import urllib3
from tests.unit.client.certificates import Pair, authority, signed
from tests.unit.client.httpsserver import HttpsServer, kubeconfig, pod, trust

from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import from_kubeconfig, in_cluster
from proxyconfig_client.connection.errors import ConfigurationError

ASKS = """
import asyncio, sys
from pathlib import Path
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import in_cluster

async def ask():
    server = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": sys.argv[2]}
    async with ApiClient(in_cluster(server, Path(sys.argv[1])), user_agent="test") as client:
        print(len(await client.get("/api")) > 0, "encodings.idna" in sys.modules)

asyncio.run(ask())
"""


async def who(client: ApiClient) -> str:
    """The name and the token by which the server knows the client."""
    said = msgspec.json.decode(await client.get("/api"))
    return f"{said['name']} {said['token']}"


@pytest.fixture
def old(tmp_path: Path) -> Pair:
    return authority(tmp_path, "old-ca")


@pytest.fixture
def new(tmp_path: Path) -> Pair:
    return authority(tmp_path, "new-ca")


async def test_a_rotated_authority_is_followed(tmp_path: Path, old: Pair, new: Pair) -> None:
    server = HttpsServer()
    async with contextlib.AsyncExitStack() as stack:
        async with server.serving(signed(old, "first")) as port:
            client = await stack.enter_async_context(ApiClient(pod(tmp_path, old, port), user_agent="test"))
            assert await who(client) == "- first"
        async with server.serving(signed(new, "second")):
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get("/api")
            trust(tmp_path, old, new)
            assert await who(client) == "- first"
        trust(tmp_path, new)
        async with server.serving(signed(old, "third")):
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get("/api")


async def test_a_half_written_authority_leaves_the_last_good_one_in_use(tmp_path: Path, old: Pair) -> None:
    async with HttpsServer().serving(signed(old, "server")) as port, ApiClient(pod(tmp_path, old, port), user_agent="test") as client:
        for content in (b"", b"-----BEGIN CERTIFICATE-----\nMIIB", b"\xff\xfe"):
            (tmp_path / "ca.crt").write_bytes(content)
            assert await who(client) == "- first"
            assert client.requests.by_result["<error>", "GET"] == 0


async def test_a_rotated_token_is_sent(tmp_path: Path, old: Pair) -> None:
    async with HttpsServer().serving(signed(old, "server")) as port, ApiClient(pod(tmp_path, old, port), user_agent="test") as client:
        assert await who(client) == "- first"
        (tmp_path / "token").write_text("second\n")
        assert await who(client) == "- second"


async def test_a_rotated_client_certificate_is_used_at_once(tmp_path: Path, old: Pair) -> None:
    first, second, server = signed(old, "node-1"), signed(old, "node-2"), HttpsServer()
    names = {"client-certificate": "client.crt", "client-key": "client.key"}
    (tmp_path / "client.crt").write_bytes(first.certificate.read_bytes())
    (tmp_path / "client.key").write_bytes(first.key.read_bytes())
    async with (
        server.serving(signed(old, "server"), clients=old) as port,
        ApiClient(kubeconfig(tmp_path, port, old, **names), user_agent="test") as client,
    ):
        assert [await who(client), await who(client)] == ["node-1 -", "node-1 -"]
        assert server.connections == 1
        (tmp_path / "client.crt").write_bytes(second.certificate.read_bytes())
        assert await who(client) == "node-1 -", "the key is still that of the first: both stay"
        (tmp_path / "client.key").write_bytes(second.key.read_bytes())
        assert await who(client) == "node-2 -"


async def test_aiohttp_and_urllib3_follow_a_rotation_as_well(tmp_path: Path, old: Pair, new: Pair) -> None:
    server = HttpsServer()
    async with server.serving(signed(old, "first")) as port:
        config = pod(tmp_path, old, port)
    assert config.tls is not None
    pool = urllib3.PoolManager(ssl_context=config.tls, cert_reqs=config.tls.verify_mode, retries=False)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=config.tls)) as session, server.serving(signed(new, "second")):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{config.server}/api")
        with pytest.raises(urllib3.exceptions.SSLError):
            await asyncio.to_thread(pool.request, "GET", f"{config.server}/api")
        trust(tmp_path, old, new)
        async with session.get(f"{config.server}/api") as response:
            assert response.status == 200
        assert (await asyncio.to_thread(pool.request, "GET", f"{config.server}/api")).status == 200
    pool.clear()


async def test_the_name_in_a_kubeconfig_is_that_of_the_certificate(tmp_path: Path, old: Pair) -> None:
    async with HttpsServer().serving(signed(old, "server", host="api.example")) as port:
        config = kubeconfig(tmp_path, port, old)
        async with ApiClient(config, user_agent="test") as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get("/api")
        text = (tmp_path / "kubeconfig").read_text().replace("server:", "tls-server-name: api.example\n    server:")
        (tmp_path / "kubeconfig").write_text(text)
        async with ApiClient(from_kubeconfig(tmp_path / "kubeconfig"), user_agent="test") as client:
            assert await who(client) == "- -"


def test_an_empty_authority_does_not_stand_for_those_of_the_system(tmp_path: Path, old: Pair) -> None:
    pod(tmp_path, old, 443)
    (tmp_path / "ca.crt").write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)


async def test_a_request_does_not_load_the_codec_for_names_in_other_scripts(tmp_path: Path, old: Pair) -> None:
    async with HttpsServer().serving(signed(old, "server")) as port:
        pod(tmp_path, old, port)
        command = (sys.executable, "-c", ASKS, str(tmp_path), str(port))
        client = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(60):
            said, _ = await client.communicate()
    assert said.decode().split() == ["True", "False"]
