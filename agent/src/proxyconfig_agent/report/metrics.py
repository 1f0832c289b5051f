"""Metrics by kube-proxy's names and labels for everything that both have, as dashboards and alerts read those; a few of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest

from proxyconfig_agent.ingest.values import Family, Policy
from proxyconfig_agent.node.flows import Stale
from proxyconfig_agent.report.health import Answer
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.sync import Sync

_SYNC_S = tuple(0.001 * 2**power for power in range(15))
_PROGRAMMING_S = (0.25, 0.5, *range(1, 60), *range(60, 121, 5), *range(150, 301, 30))
_STAGE_S = tuple(0.00001 * 4**power for power in range(11))
_TEXT = "text/plain; version=0.0.4; charset=utf-8"

LABEL = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}


def lacks_local(frontends: Frontends, policy: str) -> bool:
    """Whether its `internal` or `external` traffic is dropped here although it has endpoints elsewhere."""
    wanted = frontends.internal_policy if policy == "internal" else frontends.external_policy
    return wanted is Policy.LOCAL and frontends.reachable and not frontends.local


class Metrics:
    """All metrics of one agent, in a registry of its own. Observing costs microseconds; both families are committed together."""

    def __init__(self, version: str, mode: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # kube-proxy has none, and they double the page
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def histogram(name: str, what: str, buckets: Iterable[float], *labels: str) -> Histogram:
            return Histogram(name, what, labels, buckets=tuple(buckets), registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(name, what, labels, registry=registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(name, what, labels, registry=registry)

        self._sync = histogram("kubeproxy_sync_proxy_rules_duration_seconds", "Seconds of a sync", _SYNC_S, "ip_family")
        self._full = histogram("kubeproxy_sync_full_proxy_rules_duration_seconds", "Seconds of a full sync", _SYNC_S, "ip_family")
        self._partial = histogram(
            "kubeproxy_sync_partial_proxy_rules_duration_seconds", "Seconds of a sync of what changed", _SYNC_S, "ip_family"
        )
        self._synced = gauge("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "When a sync last succeeded", "ip_family")
        self._queued = gauge("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "When a sync was last queued", "ip_family")
        self._programming = histogram(
            "kubeproxy_network_programming_duration_seconds",
            "Seconds from the change of an endpoint in the cluster to the kernel of this node",
            _PROGRAMMING_S,
            "ip_family",
        )
        self._endpoints_pending = gauge("kubeproxy_sync_proxy_rules_endpoint_changes_pending", "EndpointSlice changes waiting for a sync")
        self._endpoints_total = counter("kubeproxy_sync_proxy_rules_endpoint_changes", "EndpointSlice changes seen")
        self._services_pending = gauge("kubeproxy_sync_proxy_rules_service_changes_pending", "Service changes waiting for a sync")
        self._services_total = counter("kubeproxy_sync_proxy_rules_service_changes", "Service changes seen")
        self._no_local = gauge(
            "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
            "Services with a Local traffic policy and no local endpoint",
            "traffic_policy",
            "ip_family",
        )
        self._healthz = counter("kubeproxy_proxy_healthz", "Answers of /healthz", "code")
        self._livez = counter("kubeproxy_proxy_livez", "Answers of /livez", "code")
        self._failures = counter("kubeproxy_sync_proxy_rules_nftables_sync_failures", "Syncs that failed", "ip_family")
        self._conntrack_s = histogram(
            "kubeproxy_conntrack_reconciler_sync_duration_seconds", "Seconds of a conntrack clean-up", _SYNC_S, "ip_family"
        )
        self._conntrack_deleted = counter("kubeproxy_conntrack_reconciler_deleted_entries", "Stale UDP flows deleted", "ip_family")

        self._flows_deleted = counter("proxyconfig_conntrack_deleted", "Stale UDP flows deleted, by why they were", "reason", "ip_family")
        self._stage = histogram("proxyconfig_stage_duration_seconds", "Seconds per stage of a sync", _STAGE_S, "stage")
        self._operations = counter("proxyconfig_kernel_operations", "Elements, rules and chains sent to the kernel")
        self._objects = gauge("proxyconfig_programmed", "What is programmed on this node", "kind")
        self._quarantined = gauge("proxyconfig_quarantined_services", "Services that cannot be programmed")
        self._repairs = counter("proxyconfig_drift_repairs", "Repairs of rules that somebody else changed")
        self._info = gauge("proxyconfig_agent_info", "1, with the agent's version and mode as labels", "version", "mode")
        for family in Family:
            self._failures.labels(LABEL[family])
            self._conntrack_deleted.labels(LABEL[family])
            for why in Stale:
                self._flows_deleted.labels(why.value, LABEL[family])
        self.mode(version, mode)

    def mode(self, version: str, mode: str) -> None:
        self._info.clear()
        self._info.labels(version, mode).set(1)

    def changed(self, *, services: int = 0, endpoints: int = 0) -> None:
        """That many Services and EndpointSlices changed and wait for a sync."""
        self._services_total.inc(services)
        self._services_pending.inc(services)
        self._endpoints_total.inc(endpoints)
        self._endpoints_pending.inc(endpoints)

    def queued(self, now_s: float) -> None:
        for family in Family:
            self._queued.labels(LABEL[family]).set(now_s)

    def synced(self, sync: Sync) -> None:
        """A sync ended; after a successful one everything that was pending is in the kernel."""
        if sync.error:
            for label in LABEL.values():
                self._failures.labels(label).inc()
            return
        for label in LABEL.values():
            self._sync.labels(label).observe(sync.took_s)
            (self._full if sync.full else self._partial).labels(label).observe(sync.took_s)
            self._synced.labels(label).set(sync.ended_at)
        for family, delay_s in sync.delays_s:
            self._programming.labels(LABEL[family]).observe(max(0.0, delay_s))
        self._services_pending.set(0)
        self._endpoints_pending.set(0)
        self._operations.inc(sync.operations)
        self._repairs.inc(bool(sync.repaired))
        self._quarantined.set(len({refusal.service for refusal in sync.refused}))
        for stage, seconds in sync.stages_s.items():
            self._stage.labels(stage).observe(seconds)
        for kind, number in (("services", sync.services), ("ports", sync.ports), ("endpoints", sync.endpoints)):
            self._objects.labels(kind).set(number)

    def count_local(self, programmed: Callable[[], Iterable[Frontends]]) -> None:
        """Where to look, at every scrape, for Services whose policy wants local endpoints that they lack."""

        def counter(policy: str, family: Family) -> Callable[[], float]:
            return lambda: sum(frontends.family is family and lacks_local(frontends, policy) for frontends in programmed())

        for family in Family:
            for policy in ("internal", "external"):
                self._no_local.labels(policy, LABEL[family]).set_function(counter(policy, family))

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
