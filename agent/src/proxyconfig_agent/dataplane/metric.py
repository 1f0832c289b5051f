"""What a metric is, and which ones a mode has beside those of all modes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

FAMILY = ("ip_family",)

KUBE_PROXYS = ("kubeproxy_", "rest_client_requests_total", "rest_client_request_duration_seconds")
"""How names of kube-proxy and its client library begin."""


class Metric(Struct, frozen=True):
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    means: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def is_kube_proxys(self) -> bool:
        """Whether kube-proxy or its client library has it."""
        return self.name.startswith(KUBE_PROXYS)


class ModeMetrics(Struct, frozen=True, kw_only=True):
    """The metrics of one mode, by what they count."""

    full_failures: Metric | None = None
    """Full syncs that failed, by family."""
    partial_failures: Metric | None = None
    """Syncs of what changed that failed, by family; may be the same as `full_failures`."""
    rules: Metric | None = None
    """Rules that are there, by table and family: `Outcome.rules`."""
    rules_written: Metric | None = None
    """Rules of the last sync, likewise."""
    packets: tuple[Metric, ...] = ()
    """Counted by the kernel, and read by `ModeSpec.counters` at each scrape."""

    def __iter__(self) -> Iterator[Metric]:
        """Each once."""
        named = (self.full_failures, self.partial_failures, self.rules, self.rules_written, *self.packets)
        yield from dict.fromkeys(metric for metric in named if metric is not None)
