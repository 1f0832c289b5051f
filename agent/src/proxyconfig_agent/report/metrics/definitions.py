"""Every metric that all modes have: its name, type, labels and meaning. A mode's are in its `ModeSpec`; `docs/metrics.md` shows all.

Names that begin with `kubeproxy_` are kube-proxy's (pkg/proxy/metrics, Kubernetes 1.36), two with `rest_client_` are its client
library's, with the types, labels and buckets that they have there, for what means the same here: dashboards and alerts read those. The
few that kube-proxy has nothing for begin with `proxyconfig_`.
"""

from __future__ import annotations

from proxyconfig_agent.dataplane.metric import FAMILY as _FAMILY
from proxyconfig_agent.dataplane.metric import Metric
from proxyconfig_client.apiserver.request_counts import BUCKETS_S

_SYNC_S = tuple(0.001 * 2**power for power in range(15))
_PROGRAMMING_S = (0, 0.25, 0.5, *range(1, 60), *range(60, 121, 5), *range(150, 301, 30))  # kube-proxy has the 0, too
_DELAY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STAGE_S = tuple(0.00001 * 4**power for power in range(11))

SYNC_S = Metric("kubeproxy_sync_proxy_rules_duration_seconds", "histogram", "Seconds of a sync", _FAMILY, buckets=_SYNC_S)
FULL_S = Metric("kubeproxy_sync_full_proxy_rules_duration_seconds", "histogram", "Seconds of a full sync", _FAMILY, buckets=_SYNC_S)
PARTIAL_S = Metric(
    "kubeproxy_sync_partial_proxy_rules_duration_seconds", "histogram", "Seconds of a sync of what changed", _FAMILY, buckets=_SYNC_S
)
SYNCED_AT = Metric("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "gauge", "When a sync last succeeded", _FAMILY)
QUEUED_AT = Metric("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "gauge", "When a sync was last queued", _FAMILY)
PROGRAMMING_S = Metric(
    "kubeproxy_network_programming_duration_seconds",
    "histogram",
    "Seconds from the change of an endpoint in the cluster (last-change-trigger-time) to the kernel of this node",
    _FAMILY,
    buckets=_PROGRAMMING_S,
)
ENDPOINTS_PENDING = Metric("kubeproxy_sync_proxy_rules_endpoint_changes_pending", "gauge", "EndpointSlice changes waiting for a sync")
ENDPOINTS_TOTAL = Metric("kubeproxy_sync_proxy_rules_endpoint_changes_total", "counter", "EndpointSlice changes seen")
SERVICES_PENDING = Metric("kubeproxy_sync_proxy_rules_service_changes_pending", "gauge", "Service changes waiting for a sync")
SERVICES_TOTAL = Metric("kubeproxy_sync_proxy_rules_service_changes_total", "counter", "Service changes seen")
NO_LOCAL = Metric(
    "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
    "gauge",
    "Service ports with a Local traffic policy that have endpoints, but none on this node; counted at each scrape",
    ("traffic_policy", "ip_family"),
)
HEALTHZ = Metric("kubeproxy_proxy_healthz_total", "counter", "Answers of /healthz", ("code",))
LIVEZ = Metric("kubeproxy_proxy_livez_total", "counter", "Answers of /livez", ("code",))
CONNTRACK_S = Metric(
    "kubeproxy_conntrack_reconciler_sync_duration_seconds", "histogram", "Seconds of a clean-up of UDP flows", _FAMILY, buckets=_SYNC_S
)
CONNTRACK_DELETED = Metric("kubeproxy_conntrack_reconciler_deleted_entries_total", "counter", "Stale UDP flows deleted", _FAMILY)

REQUESTS = Metric(
    "rest_client_requests_total",
    "counter",
    "Requests to the API server, by the status of the response; `<error>`: none came",
    ("code", "method", "host"),
)
REQUEST_S = Metric(
    "rest_client_request_duration_seconds",
    "histogram",
    "Seconds of a request to the API server, its response included; watches do not count",
    ("verb", "host"),
    buckets=BUCKETS_S,
)

FLOWS_DELETED = Metric(
    "proxyconfig_conntrack_deleted_total", "counter", "Stale UDP flows deleted, by why they were", ("reason", "ip_family")
)
CONNTRACK_ENTRIES = Metric(
    "proxyconfig_conntrack_entries", "gauge", "Connections that the kernel tracks; read at each scrape, like the next three"
)
CONNTRACK_LIMIT = Metric("proxyconfig_conntrack_limit", "gauge", "Connections that the kernel tracks at most (nf_conntrack_max)")
CONNTRACK_INSERT_FAILED = Metric(
    "proxyconfig_conntrack_insert_failed_total", "counter", "Connections lost to another one with the same addresses and ports"
)
CONNTRACK_DROPPED = Metric(
    "proxyconfig_conntrack_dropped_total", "counter", "Packets of new connections dropped, above all because the table was full"
)
CONNTRACK_TABLE = (CONNTRACK_ENTRIES, CONNTRACK_LIMIT, CONNTRACK_INSERT_FAILED, CONNTRACK_DROPPED)
"""The kernel counts these, too; the counters only where it has /proc/net/stat/nf_conntrack."""

STAGE_S = Metric("proxyconfig_stage_duration_seconds", "histogram", "Seconds per stage of a sync", ("stage",), buckets=_STAGE_S)
OPERATIONS = Metric("proxyconfig_kernel_operations_total", "counter", "Elements, rules and chains sent to the kernel")
PROGRAMMED = Metric("proxyconfig_programmed", "gauge", "What is programmed on this node: services, ports, endpoints", ("kind",))
QUARANTINED = Metric("proxyconfig_quarantined_services", "gauge", "Services that are set aside, whole or in part")
REPAIRS = Metric("proxyconfig_drift_repairs_total", "counter", "Repairs of rules that another program changed")
AUDITS = Metric(
    "proxyconfig_audits_total",
    "counter",
    "Comparisons of the kernel's rules with the desired ones: clean, repaired, or failed",
    ("result",),
)
AUDITED_AT = Metric("proxyconfig_audit_last_timestamp_seconds", "gauge", "When all rules in the kernel were last known to be correct")
EVENT_LOOP_DELAY_S = Metric(
    "proxyconfig_event_loop_delay_seconds",
    "histogram",
    "Seconds of each turn of the event loop: watches, health check node ports and changes wait for so long at most",
    buckets=_DELAY_S,
)
WATCH_CONNECTED = Metric(
    "proxyconfig_watch_connected", "gauge", "1 while a watch of the resource is open at the API server, else 0", ("resource",)
)
INFO = Metric("proxyconfig_agent_info", "gauge", "1, with the agent's version and mode as labels", ("version", "mode"))

CATALOGUE = tuple(each for each in list(globals().values()) if isinstance(each, Metric))

NOT_OURS = {
    "kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total": (
        "a clean-up is a part of each transaction here, and does not fail on its own"
    ),
}
"""kube-proxy's own metrics that the agent does not have, each with the reason."""
