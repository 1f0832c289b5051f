"""Reading the agent's stage timings."""

from __future__ import annotations

from tests.bench.stages import between, stages_s

from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.sync.result import SyncReason, SyncResult


def page_of(*syncs: dict[str, float]) -> str:
    metrics = Metrics("v1", "nftables")
    for stages in syncs:
        metrics.synced(SyncResult(SyncReason.CHANGE, ended_at=1.0, took_s=0.5, stages_s=stages))
    return metrics.page().body.decode()


def test_the_seconds_of_all_syncs_are_added_up_by_stage() -> None:
    assert stages_s(page_of({"select": 0.25, "commit": 0.5}, {"commit": 0.5})) == {"select": 0.25, "commit": 1.0}


def test_a_page_without_stages_has_none() -> None:
    assert stages_s(page_of()) == {}


def test_the_time_between_two_readings_is_per_event() -> None:
    assert between({"commit": 1.0}, {"commit": 1.5, "select": 0.1}, times=50) == {"commit": 10.0, "select": 2.0}
