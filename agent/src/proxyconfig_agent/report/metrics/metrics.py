"""Metrics by kube-proxy's names and labels for everything that both have, as dashboards and alerts read those; a few by other names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest

from proxyconfig_agent.dataplane.metric import Metric, ModeMetrics
from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.dataplane.port import Rules
from proxyconfig_agent.ingest.model import Family, Policy
from proxyconfig_agent.node.conntrack.stale import Stale
from proxyconfig_agent.report.metrics import definitions as of
from proxyconfig_agent.report.metrics.kernel import KernelValues
from proxyconfig_agent.report.metrics.requests import RequestCollector
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_api.spec.sections import Mode
from proxyconfig_client.apiserver.request_counts import Requests
from proxyconfig_client.http.answer import Answer

_TEXT = "text/plain; version=0.0.4; charset=utf-8"

LABEL = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}


def lacks_local(frontends: Frontends, policy: str) -> bool:
    """Whether its `internal` or `external` traffic is dropped here although it has endpoints elsewhere."""
    wanted = frontends.internal_policy if policy == "internal" else frontends.external_policy
    return wanted is Policy.LOCAL and frontends.reachable and not frontends.local


class Metrics:
    """All metrics of one agent, in one registry. Observing costs microseconds; both families are committed together."""

    def __init__(self, version: str, mode: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # kube-proxy has none, and they double the page
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = RequestCollector()
        self.registry.register(self._requests)
        self._packets, self._conntrack = KernelValues(()), KernelValues(of.CONNTRACK_TABLE)
        for values in (self._packets, self._conntrack):
            self.registry.register(values)
        self._of_mode, self._own = dict[Metric, Counter | Gauge | Histogram](), ModeMetrics()

        def counter(metric: Metric) -> Counter:
            return cast(Counter, self._there(metric))

        def gauge(metric: Metric) -> Gauge:
            return cast(Gauge, self._there(metric))

        def histogram(metric: Metric) -> Histogram:
            return cast(Histogram, self._there(metric))

        self._sync, self._full, self._partial = histogram(of.SYNC_S), histogram(of.FULL_S), histogram(of.PARTIAL_S)
        self._synced, self._queued, self._programming = gauge(of.SYNCED_AT), gauge(of.QUEUED_AT), histogram(of.PROGRAMMING_S)
        self._endpoints_pending, self._endpoints_total = gauge(of.ENDPOINTS_PENDING), counter(of.ENDPOINTS_TOTAL)
        self._services_pending, self._services_total = gauge(of.SERVICES_PENDING), counter(of.SERVICES_TOTAL)
        self._no_local, self._healthz, self._livez = gauge(of.NO_LOCAL), counter(of.HEALTHZ), counter(of.LIVEZ)
        self._conntrack_s, self._conntrack_deleted = histogram(of.CONNTRACK_S), counter(of.CONNTRACK_DELETED)
        self._flows_deleted, self._stage, self._operations = counter(of.FLOWS_DELETED), histogram(of.STAGE_S), counter(of.OPERATIONS)
        self._objects, self._quarantined = gauge(of.PROGRAMMED), gauge(of.QUARANTINED)
        self._repairs, self._audits, self._audited, self._info = (
            counter(of.REPAIRS),
            counter(of.AUDITS),
            gauge(of.AUDITED_AT),
            gauge(of.INFO),
        )
        self._event_loop_delay, self._watch_connected = histogram(of.EVENT_LOOP_DELAY_S), gauge(of.WATCH_CONNECTED)
        for result in ("clean", "repaired", "failed"):
            self._audits.labels(result)
        for family in Family:
            self._conntrack_deleted.labels(LABEL[family])
            for why in Stale:
                self._flows_deleted.labels(why.value, LABEL[family])
        self.mode(version, mode)

    def mode(self, version: str, mode: str) -> None:
        """This mode runs now: its own metrics are there, and no other's."""
        self._info.clear()
        self._info.labels(version, mode).set(1)
        before, self._own = self._own, spec_of(Mode(mode)).metrics if mode else ModeMetrics()
        self._packets.metrics = self._own.packets
        for metric in _collected(before):
            self.registry.unregister(self._of_mode[metric])
        for metric in _collected(self._own):
            if metric not in self._of_mode:
                self._of_mode[metric] = _made(metric)
            self.registry.register(self._of_mode[metric])

    def _there(self, metric: Metric) -> Counter | Gauge | Histogram:
        """A metric that every mode has."""
        made = _made(metric)
        self.registry.register(made)
        return made

    def _failed(self, reason: SyncReason) -> None:
        metric = self._own.partial_failures if reason is SyncReason.CHANGE else self._own.full_failures
        if metric is not None:
            for label in LABEL.values():
                cast(Counter, self._of_mode[metric]).labels(label).inc()

    def changed(self, *, services: int = 0, endpoints: int = 0) -> None:
        """That many Services and EndpointSlices changed and wait for a sync."""
        self._services_total.inc(services)
        self._services_pending.inc(services)
        self._endpoints_total.inc(endpoints)
        self._endpoints_pending.inc(endpoints)

    def queued(self, now_s: float) -> None:
        for family in Family:
            self._queued.labels(LABEL[family]).set(now_s)

    def synced(self, sync: SyncResult) -> None:
        """A sync ended; after a successful one everything that was pending is in the kernel."""
        if sync.reason.is_audit:
            self._audits.labels("failed" if sync.error else "repaired" if sync.repaired else "clean").inc()
        if sync.error:
            self._failed(sync.reason)
            return
        for label in LABEL.values():
            self._sync.labels(label).observe(sync.took_s)
            (self._full if sync.full else self._partial).labels(label).observe(sync.took_s)
            self._synced.labels(label).set(sync.ended_at)
        for family, delay_s in sync.delays_s:
            self._programming.labels(LABEL[family]).observe(max(0.0, delay_s))
        self._services_pending.set(0)
        self._endpoints_pending.set(0)
        if sync.full:
            self._audited.set(sync.ended_at)
        self._operations.inc(sync.operations)
        self._repairs.inc(bool(sync.repaired))
        self._count_rules(sync.rules)
        self._quarantined.set(len({refusal.service for refusal in sync.refused}))
        for stage, seconds in sync.stages_s.items():
            self._stage.labels(stage).observe(seconds)
        for kind, number in (("services", sync.services), ("ports", sync.ports), ("endpoints", sync.endpoints)):
            self._objects.labels(kind).set(number)

    def event_loop_delayed(self, seconds: float) -> None:
        self._event_loop_delay.observe(seconds)

    def _count_rules(self, rules: Mapping[tuple[Family, str], Rules]) -> None:
        for (family, table), counted in rules.items():
            for metric, number in ((self._own.rules, counted.total), (self._own.rules_written, counted.written)):
                if metric is not None:
                    cast(Gauge, self._of_mode[metric]).labels(table, LABEL[family]).set(number)

    def count_local(self, programmed: Callable[[], Iterable[Frontends]]) -> None:
        """Where to look, at every scrape, for Services whose policy requires local endpoints that they lack."""

        def counter(policy: str, family: Family) -> Callable[[], float]:
            return lambda: sum(frontends.family is family and lacks_local(frontends, policy) for frontends in programmed())

        for family in Family:
            for policy in ("internal", "external"):
                self._no_local.labels(policy, LABEL[family]).set_function(counter(policy, family))

    def watch_connected(self, resource: str, connected: bool) -> None:
        self._watch_connected.labels(resource).set(connected)

    def count_requests(self, requests: Requests) -> None:
        """Where to look, at every scrape, for requests to the API server."""
        self._requests.read = lambda: requests

    def count_packets(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Called at every scrape, in a mode with such metrics, for the values of its `ModeMetrics.packets` by name."""
        self._packets.read = read

    def read_conntrack(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Called at every scrape for the values of `CONNTRACK_TABLE` by name."""
        self._conntrack.read = read

    def flows_deleted(self, family: Family, reasons: Mapping[Stale, int], took_s: float) -> None:
        self._conntrack_s.labels(LABEL[family]).observe(took_s)
        self._conntrack_deleted.labels(LABEL[family]).inc(sum(reasons.values()))
        for why, number in reasons.items():
            self._flows_deleted.labels(why.value, LABEL[family]).inc(number)

    def answered(self, path: str, answer: Answer) -> Answer:
        """Count an answer of /healthz or /livez, and pass it on."""
        (self._healthz if path == "/healthz" else self._livez).labels(str(answer.status)).inc()
        return answer

    def page(self) -> Answer:
        return Answer(200, generate_latest(self.registry), _TEXT)


def _collected(metrics: ModeMetrics) -> Iterable[Metric]:
    """Those that the agent counts."""
    return (metric for metric in metrics if metric not in metrics.packets)


def _made(metric: Metric) -> Counter | Gauge | Histogram:
    """Not registered yet, with the labels that are known from the start at 0."""
    match metric.kind:
        case "counter":
            counter = Counter(metric.name, metric.means, metric.labels, registry=None)
            if metric.labels == ("ip_family",):
                for label in LABEL.values():
                    counter.labels(label)
            return counter
        case "gauge":
            return Gauge(metric.name, metric.means, metric.labels, registry=None)
        case "histogram":
            return Histogram(metric.name, metric.means, metric.labels, buckets=metric.buckets, registry=None)
