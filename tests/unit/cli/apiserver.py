"""An API server for the few resources that the commands read and write: objects by their path. It refuses what it does not know."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]


class Objects:
    """What the server holds, by path; a collection is a path with a list."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.collections: dict[str, list[Object]] = {}
        self.written: Callable[[str], None] = _nothing
        """Called with the path after each write: what controllers would do."""
        self.status: Callable[[str], int] = _well
        """Called with the path before each request: the status of the response; from 300 on nothing is done.
        404 is for paths that are not served at all."""

    def find(self, path: str, labels: str = "") -> Object | None:
        """An object, or a collection; `labels`: those that its members have to have, as a query has them."""
        members = [each for at, each in self.objects.items() if at.rpartition("/")[0] == path]
        if path not in self.collections and not members:
            return self.objects.get(path)
        wanted = dict(label.split("=") for label in filter(None, labels.split(",")))
        every = self.collections.get(path, members)
        return {"items": [each for each in every if wanted.items() <= each["metadata"].get("labels", {}).items()]}

    def write(self, method: str, path: str, body: Object, query: Mapping[str, list[str]]) -> Object | None:
        """None for an object that is not there. A dry run changes nothing."""
        known = self.find_one(path)
        if known is None and "apply-patch" not in method:
            return None
        made = body if method == "PUT" else _merged(_left(known or {}, method), body)
        if "dryRun" not in query:
            self._put(path, made)
            self.written(path)
        return made

    def delete(self, path: str) -> Object | None:
        found = self.objects.pop(path, None)
        self.written(path)
        return found

    def find_one(self, path: str) -> Object | None:
        above, _, name = path.rpartition("/")
        members = (each for each in self.collections.get(above, []) if each["metadata"]["name"] == name)
        return self.objects.get(path) or next(members, None)

    def _put(self, path: str, made: Object) -> None:
        above, _, name = path.rpartition("/")
        if above not in self.collections:
            self.objects[path] = made
            return
        self.collections[above] = [made if each["metadata"]["name"] == name else each for each in self.collections[above]]


def _left(known: Object, method: str) -> Object:
    """What a patch is merged into. What only the same field manager has written of a spec, and does not apply again, goes."""
    return {name: value for name, value in known.items() if name != "spec"} if "apply-patch" in method else known


def _merged(before: Object, patch: Object) -> Object:
    """RFC 7386."""
    merged = dict(before)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name) or {}, value) if isinstance(value, dict) else value
    return merged


def _nothing(_path: str) -> None:
    """No controller runs."""


def _well(_path: str) -> int:
    return 200


@contextlib.contextmanager
def serving(held: Objects, folder: Path) -> Iterator[Path]:
    """A kubeconfig for a server of `held`, while it runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._answer(lambda: held.find(parts.path, *parse_qs(parts.query).get("labelSelector", ())))

        def do_DELETE(self) -> None:
            self._answer(lambda: held.delete(urlsplit(self.path).path))

        def do_PUT(self) -> None:
            self._write("PUT")

        def do_PATCH(self) -> None:
            self._write(self.headers["Content-Type"])

        def _write(self, method: str) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            parts = urlsplit(self.path)
            self._answer(lambda: held.write(method, parts.path, body, parse_qs(parts.query)))

        def _answer(self, work: Callable[[], Object | None]) -> None:
            status = held.status(urlsplit(self.path).path)
            found = work() if status < 300 else {"message": "the server is told to refuse"}
            name = urlsplit(self.path).path.rpartition("/")[2]
            missing = {"reason": "NotFound", "message": f"{name} not found", "details": {"name": name}}
            answer = json.dumps(missing if found is None else found).encode() if status != 404 else b"404 page not found\n"
            self.send_response(status if found is not None else 404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield _kubeconfig(folder, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "c", "context": {"cluster": "c"}}
    path.write_text(yaml.safe_dump({"current-context": "c", "contexts": [context], "clusters": [cluster]}))
    return path
