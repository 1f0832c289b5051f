"""Which endpoints are skipped for a while: those that refuse, and those that have not answered for long. Pure.

One attempt without an answer is a lost packet or a busy node: only that connection goes on to the next endpoint, as with kube-proxy.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from msgspec import Struct

RETRY_S = 5.0
"""An endpoint that refused is skipped for so long, unless there is no other."""
SILENT_S = 3.0
"""So is one that has answered no attempt for so long: the kernel has sent the first segment of a connection three times by then."""
MEMORY_S = 60.0
"""Two attempts without an answer have nothing to do with each other if there was none for so long between them."""
_OF_THE_NODE = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC, errno.EAGAIN),
        *(errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EPERM),
    }
)
"""No descriptor, memory or port was free, or a rule of the node forbids it: the endpoint was not asked."""


class _Failing(Struct):
    since: float
    last: float
    until: float = 0.0


class Failures:
    """Endpoints that failed, until they are tried again. An attempt costs the same, however many there are."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failing: dict[bytes, _Failing] = {}
        """The one that failed last is the last one."""

    def add(self, endpoint: bytes, number: int) -> None:
        """An attempt failed with this error number; ETIMEDOUT: it was given up without an answer."""
        if number in _OF_THE_NODE:
            return
        now = self._now()
        failing = self._noted(endpoint, now)
        if number != errno.ETIMEDOUT or now - failing.since >= SILENT_S:
            failing.until = now + RETRY_S
        self._forget(now)

    def discard(self, endpoint: bytes) -> None:
        """It has taken a connection."""
        self._failing.pop(endpoint, None)

    def __contains__(self, endpoint: bytes) -> bool:
        failing = self._failing.get(endpoint)
        return failing is not None and failing.until > self._now()

    def _noted(self, endpoint: bytes, now: float) -> _Failing:
        failing = self._failing.pop(endpoint, None)
        if failing is None or now - failing.last >= MEMORY_S:
            failing = _Failing(since=now, last=now)
        failing.last = now
        self._failing[endpoint] = failing
        return failing

    def _forget(self, now: float) -> None:
        while now - self._failing[oldest := next(iter(self._failing))].last >= MEMORY_S:
            del self._failing[oldest]
