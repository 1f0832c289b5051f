"""The metrics page: kube-proxy's names, and what they count."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.agent.examples import NODE, ip, piece, ready, service

from proxyconfig_agent.dataplane.port import Refusal, Rules
from proxyconfig_agent.ingest.model import Family, Policy, Protocol, ServiceName, Traits
from proxyconfig_agent.node.conntrack.stale import Stale
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.http.routes import health_routes, metrics_routes
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.select.frontends import Backends, Frontends, PortName
from proxyconfig_agent.select.select import select
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_client.http.answer import Answer
from proxyconfig_client.process.clock import Clock


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("0.1.0", "nftables")


def sync(**changes: Any) -> SyncResult:
    return replace(SyncResult(SyncReason.CHANGE, ended_at=1000, took_s=0.01, operations=7, stages_s={"lower": 0.001}), **changes)


def values(metrics: Metrics) -> dict[str, float]:
    """Samples by name, with the labels in braces."""
    page = metrics.page().body.decode()
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_there_are_no_times_of_creation(metrics: Metrics) -> None:
    assert "_created" not in metrics.page().body.decode()


@pytest.mark.parametrize(
    ("reason", "name"), [(SyncReason.CHANGE, "iptables_partial_restore_failures"), (SyncReason.START, "iptables_restore_failures")]
)
def test_in_iptables_mode_failures_of_full_and_partial_syncs_are_counted_apart(metrics: Metrics, reason: SyncReason, name: str) -> None:
    metrics.mode("0.1.0", "iptables")
    metrics.synced(sync(reason=reason, error="iptables-restore: line 7 failed"))
    counts = {key: value for key, value in values(metrics).items() if "restore_failures" in key and value}
    assert counts == {f"kubeproxy_sync_proxy_rules_{name}_total{{ip_family={family}}}": 1 for family in ("IPv4", "IPv6")}


def test_row_106_rules_are_counted_per_table_in_total_and_in_the_last_sync(metrics: Metrics) -> None:
    metrics.mode("0.1.0", "iptables")
    metrics.synced(sync(rules={(Family.IPV4, "nat"): Rules(total=40, written=12), (Family.IPV6, "filter"): Rules(total=9, written=0)}))
    after = values(metrics)
    assert after["kubeproxy_sync_proxy_rules_iptables_total{ip_family=IPv4}{table=nat}"] == 40
    assert after["kubeproxy_sync_proxy_rules_iptables_last{ip_family=IPv4}{table=nat}"] == 12
    assert after["kubeproxy_sync_proxy_rules_iptables_last{ip_family=IPv6}{table=filter}"] == 0


def test_pending_changes_go_with_a_sync(metrics: Metrics) -> None:
    metrics.changed(services=2, endpoints=3)
    assert values(metrics)["kubeproxy_sync_proxy_rules_service_changes_pending"] == 2
    metrics.synced(sync())
    after = values(metrics)
    assert after["kubeproxy_sync_proxy_rules_service_changes_pending"] == 0
    assert after["kubeproxy_sync_proxy_rules_endpoint_changes_pending"] == 0
    assert after["kubeproxy_sync_proxy_rules_endpoint_changes_total"] == 3
    assert after["kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=IPv4}"] == 1000
    assert after["kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family=IPv6}"] == 1
    assert after["proxyconfig_kernel_operations_total"] == 7
    assert after["proxyconfig_stage_duration_seconds_count{stage=lower}"] == 1


def test_full_and_partial_syncs_are_told_apart(metrics: Metrics) -> None:
    metrics.synced(sync(reason=SyncReason.START, took_s=0.5))
    after = values(metrics)
    assert after["kubeproxy_sync_full_proxy_rules_duration_seconds_sum{ip_family=IPv4}"] == 0.5
    assert "kubeproxy_sync_partial_proxy_rules_duration_seconds_sum{ip_family=IPv4}" not in after


def test_failures_and_deleted_flows_start_at_zero(metrics: Metrics) -> None:
    assert values(metrics)["kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family=IPv4}"] == 0
    metrics.synced(sync(error="no such table"))
    metrics.flows_deleted(Family.IPV6, {Stale.ENDPOINT_GONE: 2, Stale.UNTRANSLATED: 1}, 0.001)
    after = values(metrics)
    assert after["kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family=IPv6}"] == 1
    assert after["kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family=IPv6}"] == 3
    assert after["proxyconfig_conntrack_deleted_total{ip_family=IPv6}{reason=endpoint-gone}"] == 2
    assert after["proxyconfig_conntrack_deleted_total{ip_family=IPv4}{reason=service-gone}"] == 0


def test_audits_are_counted_by_what_came_of_them(metrics: Metrics) -> None:
    for one in (
        sync(reason=SyncReason.PERIOD),
        sync(reason=SyncReason.DRIFT, repaired="1 chains"),
        sync(reason=SyncReason.PERIOD, error="no"),
        sync(reason=SyncReason.CHANGE),
        sync(reason=SyncReason.SETTINGS),
    ):
        metrics.synced(one)
    after = values(metrics)
    assert [after[f"proxyconfig_audits_total{{result={result}}}"] for result in ("clean", "repaired", "failed")] == [1, 1, 1]


def test_a_clock_that_is_behind_makes_no_negative_delay(metrics: Metrics) -> None:
    metrics.synced(sync(delays_s=((Family.IPV4, -5.0), (Family.IPV4, 0.5))))
    after = values(metrics)
    assert after["kubeproxy_network_programming_duration_seconds_sum{ip_family=IPv4}"] == 0.5
    assert after["kubeproxy_network_programming_duration_seconds_count{ip_family=IPv4}"] == 2


def test_what_is_programmed(metrics: Metrics) -> None:
    refused = (Refusal(ServiceName("default", "web"), "its address is taken"),)
    metrics.synced(sync(reason=SyncReason.DRIFT, services=2, ports=3, endpoints=20, refused=refused, repaired="1 element"))
    metrics.mode("0.1.0", "iptables")
    after = values(metrics)
    assert after["proxyconfig_programmed{kind=endpoints}"] == 20
    assert after["proxyconfig_quarantined_services"] == 1
    assert after["proxyconfig_drift_repairs_total"] == 1
    assert [key for key in after if key.startswith("proxyconfig_agent_info")] == ["proxyconfig_agent_info{mode=iptables}{version=0.1.0}"]


def test_services_that_lack_local_endpoints_are_counted_when_asked(metrics: Metrics) -> None:
    name = PortName(ServiceName("default", "web"), "", Protocol.TCP)
    remote_only = Frontends(name, Family.IPV4, 80, None, external_policy=Policy.LOCAL, reachable=True)
    found = [remote_only]
    metrics.count_local(lambda: found)
    found += [replace(remote_only, local=Backends(b"......")), replace(remote_only, reachable=False)]
    after = values(metrics)
    gauge = "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
    assert [after[f"{gauge}{{ip_family=IPv4}}{{traffic_policy={policy}}}"] for policy in ("internal", "external")] == [0, 1]
    assert after[f"{gauge}{{ip_family=IPv6}}{{traffic_policy=external}}"] == 0


def test_pages_and_the_answers_they_count(metrics: Metrics) -> None:
    health = Health(Clock(lambda: 1000.0, lambda: 1000.0))
    asked = health_routes(health, metrics)
    assert asked["/healthz"]().status == 503
    assert asked["/livez"]().status == 200
    after = values(metrics)
    assert after["kubeproxy_proxy_healthz_total{code=503}"] == after["kubeproxy_proxy_livez_total{code=200}"] == 1
    pages = metrics_routes(metrics, lambda: "nftables", lambda: b"{}")
    assert pages["/proxyMode"]().body == b"nftables"
    assert pages["/healthz"]() == Answer(200, b"ok", "text/plain; charset=utf-8")
    assert pages["/configz"]().body == b"{}"
    assert b"kubeproxy_" in pages["/metrics"]().body


HERE, ELSEWHERE = (("10.0.1.1", ready("here")), ("10.0.1.2", ready())), (("10.0.1.1", ready()), ("10.0.1.2", ready()))


@pytest.mark.parametrize(
    ("internal", "external", "endpoints", "expected"),
    [
        pytest.param(Policy.LOCAL, Policy.CLUSTER, HERE, [0, 0], id="internal-with-local"),
        pytest.param(Policy.CLUSTER, Policy.LOCAL, HERE, [0, 0], id="external-with-local"),
        pytest.param(Policy.LOCAL, Policy.LOCAL, HERE, [0, 0], id="both-with-local"),
        pytest.param(Policy.LOCAL, Policy.CLUSTER, ELSEWHERE, [1, 0], id="internal-without-local"),
        pytest.param(Policy.CLUSTER, Policy.LOCAL, ELSEWHERE, [0, 1], id="external-without-local"),
        pytest.param(Policy.LOCAL, Policy.LOCAL, ELSEWHERE, [1, 1], id="both-without-local"),
        pytest.param(Policy.LOCAL, Policy.LOCAL, (), [0, 0], id="no-endpoints-at-all"),
    ],
)
def test_row_107_services_without_local_endpoints(
    metrics: Metrics, internal: Policy, external: Policy, endpoints: tuple[tuple[str, Traits], ...], expected: list[float]
) -> None:
    one = service(internal_policy=internal, external_policy=external, externally_accessible=True, external_ips=(ip("192.0.2.1"),))
    metrics.count_local(lambda: select(one, [piece(*endpoints)], NODE))
    gauge = "kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=IPv4}"
    assert [values(metrics)[f"{gauge}{{traffic_policy={policy}}}"] for policy in ("internal", "external")] == expected
