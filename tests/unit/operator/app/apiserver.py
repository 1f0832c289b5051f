"""An API server over HTTP with one ProxyConfig, for the operator as a whole. It keeps a Lease as etcd would, and nothing else.

It starts no task: kopf cancels all tasks of the event loop when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast
from urllib.parse import parse_qs

import httptools

from proxyconfig_api.objects import names
from proxyconfig_client.connection.config import ClientConfig

Manifest = dict[str, Any]
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{names.NAMESPACE}/leases"
OURS = f"/apis/{names.GROUP}/{names.VERSION}"
CONFIGS = f"{OURS}/proxyconfigs"
CONFIG = {"metadata": {"name": "x", "uid": "uid-x", "generation": 1, "resourceVersion": "5"}, "spec": {"mode": "nftables"}}
SERVED = {
    "/apis/apps/v1": [("daemonsets", "DaemonSet", True)],
    OURS: [("proxyconfigs", "ProxyConfig", False), ("nodeproxies", "NodeProxy", False)],
}


class ApiServer:
    def __init__(self, holder: str = "") -> None:
        """`holder` leads at the start."""
        self.unlisted: tuple[str, ...] = ()
        """The resources whose lists it fails."""
        self.renews = True
        """Whether it accepts writes of the Lease."""
        self.lease: Manifest = {"metadata": {"name": names.OPERATOR, "resourceVersion": "1"}, "spec": {"holderIdentity": holder}}
        self.lease_reads = 0
        self.released = False
        """Whether it was asked to give the Lease up."""
        self.listed: list[str] = []
        self.written: list[str] = []
        """The paths of all writes but those of the Lease, in order."""
        self.writers: set[str] = set()
        """The holders of the Lease at these writes."""

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"])

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[ClientConfig]:
        connections: list[_Connection] = []
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self, connections), "127.0.0.1", 0)
        try:
            yield ClientConfig(server=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            server.close()
            for each in connections:
                each.close()

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: bytes) -> bytes:
        if path == f"{LEASES}/{names.OPERATOR}":
            return self._read_lease() if method == "GET" else self._write_lease(json.loads(body))
        if method != "GET":
            self.written.append(path)
            self.writers.add(self.holder)
            return _response(200, json.loads(body or b"{}"))
        if path in ("/api", "/apis", "/api/v1", *SERVED):
            return _response(200, _discovery(path))
        if path.rpartition("/")[2] in self.unlisted:
            return _failure(503, "ServiceUnavailable")
        if "watch" in query:
            return _watch(initial="sendInitialEvents" in query)
        self.listed.append(path)
        return _response(200, {"metadata": {"resourceVersion": "5"}, "items": [CONFIG] if path == CONFIGS else []})

    def _read_lease(self) -> bytes:
        self.lease_reads += 1
        return _response(200, self.lease)

    def _write_lease(self, lease: Manifest) -> bytes:
        self.released = self.released or not lease["spec"]["holderIdentity"]
        version = self.lease["metadata"]["resourceVersion"]
        if not self.renews or lease["metadata"]["resourceVersion"] != version:
            return _failure(409, "Conflict")
        lease["metadata"]["resourceVersion"] = str(int(version) + 1)
        self.lease = lease
        return _response(200, lease)


class _Connection(asyncio.Protocol):
    """Answers each request at once. A watch stays open until the server ends."""

    def __init__(self, server: ApiServer, connections: list[_Connection]) -> None:
        self._server, self._parser = server, httptools.HttpRequestParser(self)
        self._url = self._body = b""
        connections.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        url = httptools.parse_url(self._url)
        query = parse_qs((url.query or b"").decode())
        self._transport.write(self._server.answer(self._parser.get_method().decode(), url.path.decode(), query, self._body))

    def close(self) -> None:
        self._transport.abort()


def _response(code: int, content: Manifest) -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body)


def _failure(code: int, reason: str) -> bytes:
    return _response(code, {"kind": "Status", "code": code, "reason": reason, "message": reason})


def _watch(*, initial: bool) -> bytes:
    """No object, and no change."""
    end = {"resourceVersion": "5", "annotations": {"k8s.io/initial-events-end": "true"}}
    line = json.dumps({"type": "BOOKMARK", "object": {"metadata": end}}).encode() + b"\n"
    chunk = b"%x\r\n%s\r\n" % (len(line), line) if initial else b""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk


def _discovery(path: str) -> Manifest:
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        versions = [served.removeprefix("/apis/") for served in SERVED]
        groups = [{"name": each.split("/")[0], "version": {"groupVersion": each, "version": each.split("/")[1]}} for each in versions]
        return {"groups": [each | {"versions": [each["version"]], "preferredVersion": each["version"]} for each in groups]}
    resources = [
        {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": ["get", "list", "watch", "patch"]}
        for plural, kind, namespaced in SERVED.get(path, [])
    ]
    return {"groupVersion": path.removeprefix("/apis/"), "resources": resources}
