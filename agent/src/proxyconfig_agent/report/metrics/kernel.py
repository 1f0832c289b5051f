"""Metrics whose values the kernel keeps: read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from proxyconfig_agent.dataplane import metric as of


class KernelValues(Collector):
    """Counters and gauges without labels. `read` returns values by name; one that the kernel does not have is no sample."""

    def __init__(self, metrics: Sequence[of.Metric]) -> None:
        self.metrics = metrics
        self.read: Callable[[], Mapping[str, int]] = dict

    def collect(self) -> Iterator[Metric]:
        values = self.read() if self.metrics else {}
        for metric in self.metrics:
            if metric.name in values:
                family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
                yield family(metric.name, metric.means, value=values[metric.name])

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering reads nothing."""
        return ()
