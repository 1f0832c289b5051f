"""What docs/metrics.md says, the code's catalogue says, and the agent's page has."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.agent.report.metrics.metricspage import PAGE as DOCUMENT
from tests.unit.agent.report.metrics.metricspage import page
from tests.unit.client.fakeserver import PATH, FakeServer, status
from tests.unit.client.fakeserver import served as served_by

from proxyconfig_agent.dataplane.iptables.metrics import INVALID_DROPPED
from proxyconfig_agent.dataplane.metric import Metric
from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.report.metrics.definitions import CATALOGUE, CONNTRACK_TABLE, NOT_OURS
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_api.spec.modes import BUILT
from proxyconfig_api.spec.sections import Mode
from proxyconfig_client.connection.errors import ApiError


def test_the_page_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == page(), "run `python -m tests.unit.agent.report.metrics.metricspage`"


def of_mode(mode: str) -> tuple[Metric, ...]:
    return tuple(spec_of(Mode(mode)).metrics) if mode else ()


def served(mode: str) -> dict[str, str]:
    """Types by name, as a scraper sees them."""
    metrics = Metrics("0.1.0", mode)
    metrics.count_packets(lambda: dict.fromkeys((each.name for each in of_mode(mode)), 7))
    metrics.read_conntrack(lambda: dict.fromkeys((each.name for each in CONNTRACK_TABLE), 7))
    text = metrics.page().body.decode()
    assert list(text_string_to_metric_families(text))
    lines = [line.split() for line in text.splitlines() if line.startswith("# TYPE")]
    return {name: kind for _, _, name, kind in lines if not name.startswith("process_")}


@pytest.mark.parametrize("mode", [*(mode.value for mode in BUILT), ""])
def test_a_mode_has_the_metrics_of_all_modes_and_its_own(mode: str) -> None:
    assert served(mode) == {each.name: each.kind for each in (*CATALOGUE, *of_mode(mode))}


def test_a_change_of_mode_changes_the_metrics_and_forgets_nothing() -> None:
    metrics = Metrics("0.1.0", "nftables")
    metrics.changed(services=3)
    for mode in ("iptables", "nftables", "nftables"):
        metrics.mode("0.1.0", mode)
        text = metrics.page().body.decode()
        assert ("kubeproxy_sync_proxy_rules_iptables_restore_failures_total" in text) == (mode == "iptables")
        assert ("kubeproxy_sync_proxy_rules_nftables_sync_failures_total" in text) == (mode == "nftables")
        assert "kubeproxy_sync_proxy_rules_service_changes_total 3.0" in text


def test_no_name_is_there_twice_or_both_ours_and_not_ours() -> None:
    every = (*CATALOGUE, *(each for mode in BUILT for each in spec_of(mode).metrics))
    names = [each.name for each in every]
    assert len(names) == len(set(names))
    assert not set(names) & NOT_OURS.keys()
    assert all(each.is_kube_proxys or each.name.startswith("proxyconfig_") for each in every)


async def test_requests_to_the_api_server_are_counted_as_kube_proxy_counts_them() -> None:
    server, metrics = FakeServer(), Metrics("0.1.0", "nftables")
    async with served_by(server) as client:
        metrics.count_requests(client.requests)
        await client.get(PATH)
        server.answers = [status(503, "ServiceUnavailable", "starting")]
        with pytest.raises(ApiError):
            await client.get(PATH)
        async with client.open("GET", PATH, query={"watch": "1", "resourceVersion": str(server.version)}):
            pass
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await client.get(PATH)
    host = server.url.removeprefix("http://")
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.page().body.decode())
        for sample in family.samples
        if sample.name.startswith("rest_client_")
    }
    of_method, of_verb = (("host", host), ("method", "GET")), (("host", host), ("verb", "GET"))
    counted = {code: found["rest_client_requests_total", ("code", code), *of_method] for code in ("200", "503", "<error>")}
    assert counted == {"200": 2, "503": 1, "<error>": 1}
    assert found["rest_client_request_duration_seconds_count", *of_verb] == 3, "a watch has no duration"
    assert found["rest_client_request_duration_seconds_bucket", ("host", host), ("le", "60.0"), ("verb", "GET")] == 3
    assert found["rest_client_request_duration_seconds_sum", *of_verb] > 0


def test_what_the_kernel_does_not_count_is_not_there() -> None:
    metrics = Metrics("0.1.0", "iptables")
    assert "iptables_localhost" not in metrics.page().body.decode()
    metrics.count_packets(lambda: {INVALID_DROPPED.name: 3})
    text = metrics.page().body.decode()
    assert "kubeproxy_iptables_ct_state_invalid_dropped_packets_total 3.0" in text
    assert "iptables_localhost" not in text
