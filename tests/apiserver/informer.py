"""The objects of a collection as they are now, by name: listed, then kept up to date by a watch, as a controller has them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable

from tests.apiserver.objects import Api, Object
from urllib3.exceptions import HTTPError

WATCH_S = 10
"""After which the collection is listed again."""
AGAIN_AFTER_S = 0.05


class Informer:
    """Follows the collection in a thread from `start` until `stop` is set; sets `changed` whenever something is another than before."""

    def __init__(self, api: Api, path: str, changed: threading.Event, stop: threading.Event) -> None:
        self._api, self._path, self._changed, self._stop = api, path, changed, stop
        self._objects: dict[str, Object] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._follow, name=f"watch {self._path}", daemon=True).start()

    def objects(self) -> dict[str, Object]:
        """By name; not to be changed."""
        with self._lock:
            return dict(self._objects)

    def put(self, one: Object) -> None:
        """Take an object over that the API server has just answered with or told of, unless a newer one is known."""
        with self._lock:
            name = one["metadata"]["name"]
            if name not in self._objects or _version(self._objects[name]) < _version(one):
                self._objects[name] = one

    def drop(self, name: str) -> None:
        """Forget an object that is deleted."""
        with self._lock:
            self._objects.pop(name, None)

    def _follow(self) -> None:
        while not self._stop.wait(AGAIN_AFTER_S):
            # A test may have stopped the API server, and one that is being started has not got all its paths yet.
            with contextlib.suppress(AssertionError, OSError, HTTPError):
                listed = self._api.have(self._path)
                version = listed["metadata"]["resourceVersion"]
                self._replace(listed["items"], int(version))
                with self._api.watch(f"{self._path}?timeoutSeconds={WATCH_S}&resourceVersion={version}") as events:
                    for event in events:
                        self._take(event)

    def _replace(self, listed: Iterable[Object], version: int) -> None:
        """By a list of this version; what was put since is newer."""
        with self._lock:
            newer = {name: one for name, one in self._objects.items() if _version(one) > version}
            self._objects = {one["metadata"]["name"]: one for one in listed} | newer
        self._changed.set()

    def _take(self, event: Object) -> None:
        if event["type"] == "DELETED":
            self.drop(event["object"]["metadata"]["name"])
        elif event["type"] != "ERROR":
            self.put(event["object"])
        self._changed.set()


def _version(one: Object) -> int:
    return int(one["metadata"]["resourceVersion"])
