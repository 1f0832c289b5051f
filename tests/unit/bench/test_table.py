"""Tables as text and as Markdown."""

from __future__ import annotations

import pytest
from tests.bench import table
from tests.bench.results import Change, ColdStart, FirstSync, Measurement, comparisons
from tests.bench.subjects import AGENT, KUBE_PROXY

THEIRS = Measurement(KUBE_PROXY, "nftables", 5000, 10, first_syncs=(FirstSync(4.0, 5.0),))
OURS = Measurement(
    AGENT,
    "nftables",
    5000,
    10,
    first_syncs=(FirstSync(0.5, 0.4, {"commit": 100, "decode": 50, "audit": 1}),),
    changes=(Change(6, 4, 8),),
    change_stages_ms={"select": 1.5, "commit": 0.5},
)


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right() -> None:
    assert table.plain([("what", "a"), ("x", "1,000")]) == "what      a\nx     1,000"


def test_markdown_has_a_rule_below_the_head() -> None:
    assert table.markdown([("what", "a"), ("x", "1")]) == "| what | a |\n|---|---:|\n| x | 1 |"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(None, "–", id="did-not-finish"),
        pytest.param(0.1234, "0.123 ms", id="below-one"),
        pytest.param(1.234, "1.23 ms", id="ones"),
        pytest.param(12.34, "12.3 ms", id="tens"),
        pytest.param(1234.5, "1,234 ms", id="thousands"),
    ],
)
def test_numbers_have_three_digits_and_their_unit(value: float | None, words: str) -> None:
    assert table.number(value, "ms") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(None, "–", id="nothing-to-compare"),
        pytest.param(13.571, "13.57", id="more"),
        pytest.param(0.0123, "0.0123", id="less"),
        pytest.param(0.0, "< 0.0001", id="next-to-nothing"),
    ],
)
def test_ratios_have_the_digits_that_goals_need(value: float | None, words: str) -> None:
    assert table.ratio(value) == words


def test_a_comparison_tells_the_ratio_and_whether_the_goal_is_met() -> None:
    head, first, *_ = table.compared(comparisons([THEIRS, OURS], "nftables", 5000))

    assert head == ("5,000 Services × 10 endpoints, nftables", KUBE_PROXY, AGENT, "ratio", "goal")
    assert first == ("first complete sync", "4.00 s", "0.500 s", "0.12", "≤ 0.2: met")


def test_a_goal_that_could_not_be_compared_is_not_called_missed() -> None:
    _, first, *_ = table.compared(comparisons([OURS], "nftables", 5000))

    assert first[-2:] == ("–", "≤ 0.2")


def test_the_parts_of_a_change_add_up_to_all_of_it() -> None:
    assert table.changes_by_stage([OURS])[1:] == [
        ("API server", "4.00 ms"),
        ("select", "1.50 ms"),
        ("commit", "0.500 ms"),
        ("reading, waking up", "2.00 ms"),
        ("all", "8.00 ms"),
        ("the agent's stages", "2.00 ms"),
    ]


def test_stages_come_in_the_order_of_the_pipeline_and_unknown_ones_are_not_lost() -> None:
    assert [row[0] for row in table.first_sync_by_stage([OURS])[1:]] == [
        *("decode", "commit", "audit", "starting Python, waiting for lists", "all"),
    ]


def test_a_cold_start_that_did_not_finish_has_no_time() -> None:
    head, first, *_ = table.cold_starts([ColdStart(5000, 50, 3.2, stages_ms={"commit": 100}), ColdStart(44000, 1, None)])

    assert head[1:] == ("5,000 × 50", "44,000 × 1")
    assert first == ("first complete sync", "3.20 s", "–")
