"""Counts requests to the API server as client-go does for `rest_client_*`. Plain numbers, for an exporter of metrics to read.

Durations are those of whole requests, their responses included; watches have none.
"""

from __future__ import annotations

import bisect
import contextlib
import time
from collections import Counter
from collections.abc import Iterator

from msgspec import Struct, field

BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Upper bounds, as in k8s.io/component-base/metrics/prometheus/restclient."""
FAILED = "<error>"
"""The code of a request without a response."""


class Durations(Struct):
    """How many requests took at most as long as each of BUCKETS_S (and above all of them), not accumulated; and how long all took."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds


class Requests:
    """Requests to one `host` (with its port)."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.by_result: Counter[tuple[str, str]] = Counter()
        """By status code (or FAILED) and method."""
        self.durations: dict[str, Durations] = {}
        """By method."""

    @contextlib.contextmanager
    def measure(self, method: str, *, timed: bool) -> Iterator[Result]:
        """Around one request; its response is to be noted in what this yields."""
        started, result = time.monotonic(), Result(self, method)
        try:
            yield result
        except Exception:
            if not result.responded:
                self.by_result[FAILED, method] += 1
            raise
        finally:
            if timed:
                self.durations.setdefault(method, Durations()).add(time.monotonic() - started)


class Result(Struct):
    """Of one request."""

    requests: Requests
    method: str
    responded: bool = False

    def status(self, code: int) -> None:
        """The head of the response is there."""
        self.responded = True
        self.requests.by_result[str(code), self.method] += 1
