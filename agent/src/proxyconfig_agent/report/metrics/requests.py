"""`rest_client_*`: what the client has counted of its requests to the API server, read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from proxyconfig_agent.report.metrics import definitions as of
from proxyconfig_client.apiserver.request_counts import BUCKETS_S, Durations, Requests


class RequestCollector(Collector):
    """The page is made in a thread: what is iterated over is copied first."""

    def __init__(self) -> None:
        self.read: Callable[[], Requests] = lambda: Requests("")

    def collect(self) -> Iterator[Metric]:
        requests = self.read()
        counted = CounterMetricFamily(of.REQUESTS.name, of.REQUESTS.means, labels=of.REQUESTS.labels)
        for (code, method), number in list(requests.by_result.items()):
            counted.add_metric((code, method, requests.host), number)
        yield counted
        timed = HistogramMetricFamily(of.REQUEST_S.name, of.REQUEST_S.means, labels=of.REQUEST_S.labels)
        for method, durations in list(requests.durations.items()):
            timed.add_metric((method, requests.host), buckets=_accumulated(durations), sum_value=durations.total_s)
        yield timed

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering reads nothing."""
        return ()


def _accumulated(durations: Durations) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
    return list(zip(bounds, accumulate(durations.buckets), strict=True))
