"""An HTTPS server whose certificate and authority a test exchanges, and a pod's service account for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml
from tests.unit.client.certificates import Pair

from proxyconfig_client.connection.config import ClientConfig, from_kubeconfig, in_cluster


class HttpsServer:
    """Answers with an empty list, and with who the client is: the name in its certificate, and its token. 401 to those in `rejected`."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.rejected: tuple[str, ...] = ()

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
                    who = (_name(writer), _token(request))
                    body = json.dumps({"items": [], "metadata": {}, "name": who[0], "token": who[1]}).encode()
                    head = (401 if {*who} & {*self.rejected} else 200, len(body))
                    writer.write(b"HTTP/1.1 %d x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % head + body)

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
