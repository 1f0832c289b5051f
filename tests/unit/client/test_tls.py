"""Rotation of certificate authorities, client certificates and tokens while a client is in use, against a real HTTPS server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import urllib3
import yaml
from tests.unit.client.certificates import Pair, authority, signed

from proxyconfig_client.api import ApiClient
from proxyconfig_client.config import ClientConfig, from_kubeconfig, in_cluster
from proxyconfig_client.errors import ConfigurationError


class Server:
    """Says who the client is: the name in its certificate, and its token."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0

    @contextlib.asynccontextmanager
    async def serving(self, identity: Pair, clients: Pair | None = None) -> AsyncIterator[int]:
        """With this certificate, on the same port every time; clients need one of that authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.certificate, identity.key)
        if clients is not None:
            context.load_verify_locations(clients.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        writers: list[asyncio.StreamWriter] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            self.connections += 1
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while request := await reader.readuntil(b"\r\n\r\n"):
                    body = f"{_name(writer)} {_token(request)}".encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        server = await asyncio.start_server(answer, "127.0.0.1", self.port, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self.port
        finally:
            server.close()
            for writer in writers:
                writer.transport.abort()
            await server.wait_closed()


def _name(writer: asyncio.StreamWriter) -> str:
    certificate: dict[str, Any] = writer.get_extra_info("peercert") or {}
    return str(dict(pair for part in certificate.get("subject", ()) for pair in part).get("commonName", "-"))


def _token(request: bytes) -> str:
    lines = [line for line in request.decode().split("\r\n") if line.lower().startswith("authorization: bearer ")]
    return lines[0].split()[-1] if lines else "-"


@pytest.fixture
def old(tmp_path: Path) -> Pair:
    return authority(tmp_path, "old-ca")


@pytest.fixture
def new(tmp_path: Path) -> Pair:
    return authority(tmp_path, "new-ca")


def pod(folder: Path, trusted: Pair, port: int) -> ClientConfig:
    (folder / "ca.crt").write_bytes(trusted.certificate.read_bytes())
    (folder / "token").write_text("first")
    return in_cluster({"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}, folder)


def trust(folder: Path, *authorities: Pair) -> None:
    """What kubelet does in the documented rotation: the file is replaced."""
    (folder / "next").write_bytes(b"".join(each.certificate.read_bytes() for each in authorities))
    (folder / "next").rename(folder / "ca.crt")


def kubeconfig(folder: Path, port: int, trusted: Pair, **user: str) -> ClientConfig:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(trusted.certificate)}
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(document))
    return from_kubeconfig(folder / "kubeconfig")


async def test_a_rotated_authority_is_followed(tmp_path: Path, old: Pair, new: Pair) -> None:
    server = Server()
    async with contextlib.AsyncExitStack() as stack:
        async with server.serving(signed(old, "first")) as port:
            client = await stack.enter_async_context(ApiClient(pod(tmp_path, old, port), user_agent="test"))
            assert await client.get("/api") == b"- first"
        async with server.serving(signed(new, "second")):
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get("/api")
            trust(tmp_path, old, new)
            assert await client.get("/api") == b"- first"
        trust(tmp_path, new)
        async with server.serving(signed(old, "third")):
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get("/api")


async def test_a_half_written_authority_leaves_the_last_good_one_in_use(tmp_path: Path, old: Pair) -> None:
    async with Server().serving(signed(old, "server")) as port, ApiClient(pod(tmp_path, old, port), user_agent="test") as client:
        for content in (b"", b"-----BEGIN CERTIFICATE-----\nMIIB", b"\xff\xfe"):
            (tmp_path / "ca.crt").write_bytes(content)
            assert await client.get("/api") == b"- first"
            assert client.requests.by_result["<error>", "GET"] == 0


async def test_a_rotated_token_is_sent(tmp_path: Path, old: Pair) -> None:
    async with Server().serving(signed(old, "server")) as port, ApiClient(pod(tmp_path, old, port), user_agent="test") as client:
        assert await client.get("/api") == b"- first"
        (tmp_path / "token").write_text("second\n")
        assert await client.get("/api") == b"- second"


async def test_a_rotated_client_certificate_is_used_at_once(tmp_path: Path, old: Pair) -> None:
    first, second, server = signed(old, "node-1"), signed(old, "node-2"), Server()
    names = {"client-certificate": "client.crt", "client-key": "client.key"}
    (tmp_path / "client.crt").write_bytes(first.certificate.read_bytes())
    (tmp_path / "client.key").write_bytes(first.key.read_bytes())
    async with (
        server.serving(signed(old, "server"), clients=old) as port,
        ApiClient(kubeconfig(tmp_path, port, old, **names), user_agent="test") as client,
    ):
        assert [await client.get("/api"), await client.get("/api")] == [b"node-1 -", b"node-1 -"]
        assert server.connections == 1
        (tmp_path / "client.crt").write_bytes(second.certificate.read_bytes())
        assert await client.get("/api") == b"node-1 -", "the key is still that of the first: both stay"
        (tmp_path / "client.key").write_bytes(second.key.read_bytes())
        assert await client.get("/api") == b"node-2 -"


async def test_aiohttp_and_urllib3_follow_a_rotation_as_well(tmp_path: Path, old: Pair, new: Pair) -> None:
    server = Server()
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
    async with Server().serving(signed(old, "server", host="api.example")) as port:
        config = kubeconfig(tmp_path, port, old)
        async with ApiClient(config, user_agent="test") as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get("/api")
        text = (tmp_path / "kubeconfig").read_text().replace("server:", "tls-server-name: api.example\n    server:")
        (tmp_path / "kubeconfig").write_text(text)
        async with ApiClient(from_kubeconfig(tmp_path / "kubeconfig"), user_agent="test") as client:
            assert await client.get("/api") == b"- -"


def test_an_empty_authority_does_not_stand_for_those_of_the_system(tmp_path: Path, old: Pair) -> None:
    pod(tmp_path, old, 443)
    (tmp_path / "ca.crt").write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)
