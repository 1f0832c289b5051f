"""Events (events.k8s.io/v1) on objects, for `kubectl describe`: posted on transitions, repeated ones counted instead of piled up.

API errors are logged, not raised: nothing depends on an Event.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from msgspec import Struct

from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.errors import ClientError, is_conflict, is_missing
from proxyconfig_client.process.clock import Clock

REPEAT_S = 60.0
"""The same Event within this time is only counted."""
FORGET_S = 1800.0
"""After this time it is a new Event."""
REMEMBERED = 512
"""Events that can be counted; of more, the oldest begin anew."""
NOTE_LIMIT = 1000
"""In bytes; the API refuses more than 1024."""

_log = structlog.get_logger("events")


class Reference(Struct, frozen=True):
    """The object that an Event is about. `namespace` is empty for cluster-scoped ones; their Events live in `default`."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""
    uid: str = ""


class _Posted(Struct):
    name: str
    first_s: float
    sent_s: float
    """Monotonic seconds, both."""
    count: int = 1


class Events:
    """Posts as `reporter` (e.g. "proxyconfig-agent") from `instance` (a node or pod name)."""

    def __init__(self, connection: ApiClient, reporter: str, instance: str, clock: Clock | None = None) -> None:
        self._connection, self._reporter, self._instance, self._clock = connection, reporter, instance, clock or Clock()
        self._posted: OrderedDict[tuple[Reference, str, str], _Posted] = OrderedDict()

    async def post(
        self, regarding: Reference, reason: str, note: str, *, action: str, kind: Literal["Normal", "Warning"] = "Normal"
    ) -> None:
        """Post `note` about an object. `reason` and `action` are CamelCase words. API errors are logged, not raised."""
        note = _short(note)
        now, identity = self._clock.monotonic(), (regarding, reason, note)
        known = self._posted.get(identity)
        if known is not None and now - known.first_s < FORGET_S:
            known.count += 1
            if now - known.sent_s < REPEAT_S:
                return
            known.sent_s = now
            if await self._send("PATCH", regarding, known.name, {"series": {"count": known.count, "lastObservedTime": self._stamp()}}):
                return
        name = _named(regarding, uuid.uuid4().hex)
        self._remember(identity, _Posted(name, now, now))
        await self._send("POST", regarding, "", self._event(name, regarding, reason, note, action=action, kind=kind))

    async def post_once(
        self, regarding: Reference, reason: str, note: str, *, action: str, kind: Literal["Normal", "Warning"] = "Normal"
    ) -> None:
        """As `post`, for an Event that many processes post alike: only while the API server has none (it keeps Events for an hour).

        The name of the Event follows from the object, `reason` and `note`."""
        note = _short(note)
        name = _named(regarding, hashlib.sha256("\0".join((regarding.uid, reason, note)).encode()).hexdigest())
        try:
            await self._connection.get(path_of("events.k8s.io/v1", "events", name, namespace=regarding.namespace or "default"))
        except (ClientError, TimeoutError, OSError) as error:
            if not is_missing(error):
                _log_failure(regarding, reason, error)
                return
            await self._send("POST", regarding, "", self._event(name, regarding, reason, note, action=action, kind=kind))

    def _event(self, name: str, regarding: Reference, reason: str, note: str, *, action: str, kind: str) -> dict[str, Any]:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": regarding.namespace or "default"},
            "eventTime": self._stamp(),
            "reportingController": self._reporter,
            "reportingInstance": self._instance[:128],
            "action": action,
            "reason": reason,
            "type": kind,
            "note": note,
            "regarding": _reference(regarding),
        }

    def _stamp(self) -> str:
        """RFC 3339 with microseconds, as eventTime needs it."""
        return datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _remember(self, identity: tuple[Reference, str, str], posted: _Posted) -> None:
        self._posted[identity] = posted
        self._posted.move_to_end(identity)
        while len(self._posted) > REMEMBERED:
            self._posted.popitem(last=False)

    async def _send(self, method: str, regarding: Reference, name: str, body: dict[str, Any]) -> bool:
        content_type = "application/json" if method == "POST" else "application/merge-patch+json"
        try:
            path = path_of("events.k8s.io/v1", "events", name, namespace=regarding.namespace or "default")
            await self._connection.call(method, path, body=body, content_type=content_type)
        except (ClientError, TimeoutError, OSError) as error:
            if not (method == "PATCH" and is_missing(error)) and not (method == "POST" and is_conflict(error)):
                _log_failure(regarding, body.get("reason", ""), error)
            return False
        return True


def _log_failure(regarding: Reference, reason: str, error: Exception) -> None:
    _log.warning("event not posted", object=regarding.name, reason=reason, error=str(error) or type(error).__name__)


def _short(note: str) -> str:
    return note if len(note.encode()) <= NOTE_LIMIT else note.encode()[: NOTE_LIMIT - 3].decode(errors="ignore") + "…"


def _named(regarding: Reference, unique: str) -> str:
    """A name for an Event on an object, shorter than the 253 characters of a name."""
    return f"{regarding.name[:200]}.{unique[:16]}"


def _reference(of: Reference) -> dict[str, str]:
    fields = {"apiVersion": of.api_version, "kind": of.kind, "name": of.name, "namespace": of.namespace, "uid": of.uid}
    return {key: value for key, value in fields.items() if value}
