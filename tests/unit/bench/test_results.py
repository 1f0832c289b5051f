"""What follows from measurements: medians, ratios and goals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.bench.results import Change, Comparison, FirstSync, Measurement, comparisons, detailed, recorded
from tests.bench.subjects import AGENT, KUBE_PROXY

THEIRS = Measurement(
    KUBE_PROXY,
    "nftables",
    5000,
    10,
    first_syncs=(FirstSync(4.0, 5.0),),
    changes=(Change(5, 4, 1500), Change(6, 5, 1700), Change(5, 5, 1600)),
)
OURS = Measurement(
    AGENT,
    "nftables",
    5000,
    10,
    first_syncs=(FirstSync(0.8, 0.7), FirstSync(9.0, 0.7), FirstSync(0.4, 0.7)),
    changes=(Change(5, 4, 8), Change(6, 5, 90), Change(5, 5, 9)),
)


def compared(*measurements: Measurement, services: int = 5000) -> dict[str, Comparison]:
    return {one.quantity.name: one for one in comparisons(measurements, "nftables", services)}


def test_a_change_is_told_by_its_median_and_its_worst() -> None:
    assert (OURS.change_ms_median, OURS.change_ms_max) == (9, 90)


def test_a_first_sync_is_told_by_the_median_of_all_starts() -> None:
    assert (OURS.first_sync_s, OURS.first_sync_cpu_s) == (0.8, 0.7)


def test_a_ratio_is_ours_by_theirs() -> None:
    assert compared(THEIRS, OURS)["change_ms_median"].ratio == pytest.approx(9 / 1600)


def test_a_goal_is_met_when_the_ratio_is_not_above_it() -> None:
    found = compared(THEIRS, OURS)

    assert found["first_sync_s"].met is True
    assert found["change_ms_max"].met is False


def test_other_sizes_have_no_goals() -> None:
    found = compared(replace(THEIRS, services=1000), replace(OURS, services=1000), services=1000)

    assert found["first_sync_s"].ratio == pytest.approx(0.2)
    assert found["first_sync_s"].met is None


def test_each_mode_has_goals_of_its_own() -> None:
    alike = [replace(one, mode="iptables-legacy", services=1000) for one in (THEIRS, OURS)]
    found = {one.quantity.name: one for one in comparisons(alike, "iptables-legacy", 1000)}

    assert (found["first_sync_s"].goal, found["change_ms_median"].goal, found["change_ms_max"].goal) == (1.0, 0.5, None)


def test_another_mode_is_not_compared_with() -> None:
    assert compared(THEIRS, replace(OURS, mode="iptables"))["first_sync_s"].ours is None


@pytest.mark.parametrize(
    "measurements",
    [
        pytest.param((THEIRS,), id="one-subject-was-not-run"),
        pytest.param((THEIRS, replace(OURS, first_syncs=())), id="ours-did-not-finish"),
        pytest.param((replace(THEIRS, first_syncs=()), OURS), id="theirs-did-not-finish"),
    ],
)
def test_what_is_not_there_has_no_ratio_and_meets_no_goal(measurements: tuple[Measurement, ...]) -> None:
    found = compared(*measurements)["first_sync_s"]

    assert (found.ratio, found.met) == (None, None)


def test_the_record_has_exactly_the_fields_that_its_readers_know() -> None:
    assert list(recorded(OURS)) == [
        *("subject", "mode", "services", "endpoints", "first_sync_s", "change_ms_median", "change_ms_max"),
        *("cpu_ms_per_change", "rss_mib_steady", "rss_mib_churn"),
    ]
    assert recorded(OURS)["rss_mib_churn"] is None


def test_the_details_have_every_change() -> None:
    assert detailed(OURS)["changes"][1] == {"answered_ms": 6, "told_ms": 5, "kernel_ms": 90}
