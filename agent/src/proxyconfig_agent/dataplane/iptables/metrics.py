"""The metrics of iptables mode, by kube-proxy's names (pkg/proxy/metrics, Kubernetes 1.36)."""

from __future__ import annotations

from proxyconfig_agent.dataplane.metric import FAMILY, Metric, ModeMetrics

INVALID_DROPPED = Metric(
    "kubeproxy_iptables_ct_state_invalid_dropped_packets_total",
    "counter",
    "Packets that conntrack takes for invalid, dropped; only where the kernel has nfacct objects, like the next",
)
LOCALHOST_ACCEPTED = Metric(
    "kubeproxy_iptables_localhost_nodeports_accepted_packets_total", "counter", "Packets to NodePorts of a loopback address"
)

METRICS = ModeMetrics(
    full_failures=Metric("kubeproxy_sync_proxy_rules_iptables_restore_failures_total", "counter", "Full syncs that failed", FAMILY),
    partial_failures=Metric(
        "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total",
        "counter",
        "Syncs of what changed that failed; a full one follows",
        FAMILY,
    ),
    rules=Metric("kubeproxy_sync_proxy_rules_iptables_total", "gauge", "Rules that are ours", ("table", *FAMILY)),
    rules_written=Metric("kubeproxy_sync_proxy_rules_iptables_last", "gauge", "Rules written in the last sync", ("table", *FAMILY)),
    packets=(INVALID_DROPPED, LOCALHOST_ACCEPTED),
)
