"""Which endpoint a client gets: the next one of the list, the one of before with ClientIP affinity, none that refused just now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection

from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import Failures

CLIENTS = 100_000
"""Clients that a Service port with affinity remembers; the one that was away longest is forgotten first."""


class Rotation:
    """Round robin over packed endpoints of `step` bytes each."""

    def __init__(self, packed: bytes, step: int, start: int = 0) -> None:
        self.packed = packed
        self._step = step
        self._count = len(packed) // step
        self._next = start % self._count if self._count else 0
        self._members: frozenset[bytes] | None = None

    def __len__(self) -> int:
        return self._count

    def __contains__(self, endpoint: bytes) -> bool:
        if self._members is None:
            self._members = frozenset(self.packed[at : at + self._step] for at in range(0, len(self.packed), self._step))
        return endpoint in self._members

    def next(self) -> bytes:
        at = self._next * self._step
        self._next = (self._next + 1) % self._count
        return self.packed[at : at + self._step]

    def changed(self, packed: bytes) -> Rotation:
        """The rotation that follows: itself if nothing has changed, else one that begins where this one stands."""
        return self if packed == self.packed else Rotation(packed, self._step, self._next)


class Affinity:
    """The endpoint that each client has, for a time after its last connection."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._clients: dict[str, tuple[bytes, float]] = {}

    def get(self, client: str, lifetime_s: float) -> bytes | None:
        found = self._clients.get(client)
        return found[0] if found and self._now() - found[1] < lifetime_s else None

    def put(self, client: str, endpoint: bytes) -> None:
        """The client is connected to this endpoint now."""
        self._clients.pop(client, None)
        self._clients[client] = endpoint, self._now()
        if len(self._clients) > CLIENTS:
            del self._clients[next(iter(self._clients))]


def choose(rotation: Rotation, preferred: bytes | None, failures: Failures, tried: Collection[bytes]) -> bytes | None:
    """The endpoint to try next; None if all were tried. One that failed just now is taken if there is no other."""
    if preferred is not None and preferred not in tried and preferred not in failures and preferred in rotation:
        return preferred
    last_resort = None
    for _ in range(len(rotation)):
        endpoint = rotation.next()
        if endpoint in tried:
            continue
        if endpoint not in failures:
            return endpoint
        last_resort = last_resort or endpoint
    return last_resort
