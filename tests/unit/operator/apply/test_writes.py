"""What becomes of a write: done, gone, refused with the server's words, or to be tried again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from proxyconfig_api.objects import names
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_operator.apply.apiserver import Kube
from proxyconfig_operator.apply.workqueue import RetryError
from proxyconfig_operator.model.writes import Apply, Delete, Label, Resource, Write

NODE_PROXY = Apply(Resource.NODE_PROXY, "n1", {"metadata": {"name": "n1"}, "spec": {}})
STATUS = Apply(Resource.PROXY_CONFIG, "x", {"metadata": {"name": "x", "uid": "u"}, "status": {}}, part="status")


class Server(ThreadingHTTPServer):
    """Notes requests, and answers with `status` (and `words`) until a test changes them."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        self.status, self.words = 200, ""
        self.asked: list[tuple[str, str, str, Any]] = []
        """Method, path with query, content type, body."""
        self.items: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.command, self.path, self.headers.get("Content-Type", ""), body))
        answer = {"items": self.server.items} if self.server.status < 300 else {"kind": "Status", "message": self.server.words}
        encoded = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
async def kube(server: Server) -> AsyncIterator[Kube]:
    made = Kube(ClientConfig(f"http://127.0.0.1:{server.server_port}"), names.NAMESPACE)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("write", "request_line", "content_type"),
    [
        pytest.param(NODE_PROXY, f"PATCH /apis/{names.API_VERSION}/nodeproxies/n1", "application/apply-patch+yaml", id="apply"),
        pytest.param(STATUS, f"PATCH /apis/{names.API_VERSION}/proxyconfigs/x/status", "application/apply-patch+yaml", id="status"),
        pytest.param(Label("n1", "u", {"l": None}), "PATCH /api/v1/nodes/n1", "application/merge-patch+json", id="label"),
        pytest.param(
            Delete(Resource.DAEMON_SET, "d", "u"),
            f"DELETE /apis/apps/v1/namespaces/{names.NAMESPACE}/daemonsets/d",
            "application/json",
            id="delete",
        ),
    ],
)
async def test_a_write_is_one_request(kube: Kube, server: Server, write: Write, request_line: str, content_type: str) -> None:
    assert await kube.write([write]) == []

    ((method, path, asked_type, _),) = server.asked
    assert (f"{method} {path.partition('?')[0]}", asked_type.partition(";")[0]) == (request_line, content_type)


async def test_a_deletion_names_the_object_that_is_meant_and_no_other_of_its_name(kube: Kube, server: Server) -> None:
    await kube.write([Delete(Resource.NODE_PROXY, "n1", "that-one"), Label("n1", "that-node", {"l": None, "m": "x"})])

    bodies = {method: body for method, _, _, body in server.asked}
    assert bodies["DELETE"]["preconditions"] == {"uid": "that-one"}
    assert bodies["PATCH"]["metadata"] == {"uid": "that-node", "labels": {"l": None, "m": "x"}}


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_what_the_server_will_not_take_is_a_sentence_with_its_words(kube: Kube, server: Server, status: int) -> None:
    server.status, server.words = status, "spec.action: not that"

    assert [str(each) for each in await kube.write([NODE_PROXY])] == ["the API server refuses NodeProxy n1: spec.action: not that"]


@pytest.mark.parametrize("status", [404, 409])
async def test_an_object_that_is_gone_or_another_one_needs_nothing(kube: Kube, server: Server, status: int) -> None:
    server.status = status

    assert await kube.write([STATUS, Label("n1", "u", {"l": None}), Delete(Resource.NODE_PROXY, "n1", "u")]) == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_succeed_later_is_tried_again(kube: Kube, server: Server, status: int) -> None:
    server.status, server.words = status, "not now"

    with pytest.raises(RetryError, match="not now"):
        await kube.write([NODE_PROXY])
    with pytest.raises(RetryError, match="not now"):
        await kube.list_configs()


async def test_a_server_that_is_away_is_tried_again() -> None:
    nowhere = Kube(ClientConfig("http://127.0.0.1:1"), names.NAMESPACE)
    with pytest.raises(RetryError):
        await nowhere.write([NODE_PROXY])
    await nowhere.close()


async def test_lists_are_what_the_server_has(kube: Kube, server: Server) -> None:
    server.items = [{"metadata": {"name": "x"}}]

    assert await kube.list_configs() == await kube.list_daemonsets() == server.items
    assert f"labelSelector={names.CONFIG_LABEL}" in unquote(server.asked[-1][1])


async def test_nothing_is_written_once_it_is_closed(kube: Kube, server: Server) -> None:
    await kube.close()

    with pytest.raises(RuntimeError):
        await kube.write([NODE_PROXY])
    assert server.asked == []


async def test_writes_go_on_beside_each_other_and_the_loop_goes_on(kube: Kube, server: Server) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await kube.write([NODE_PROXY] * 40)
    turning.cancel()

    assert len(server.asked) == 40
    assert turns > 1
