from __future__ import annotations

from datetime import UTC, datetime, timedelta

from proxyconfig_api.encoding import codec
from proxyconfig_api.status.conditions import MESSAGE_LIMIT, ConditionUpdate, condition, is_true, updated

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1, microseconds=5)


def ready(holds: bool, reason: str = "Because", message: str = "") -> ConditionUpdate:
    return ConditionUpdate("Ready", holds, reason, message)


def test_the_time_is_kept_while_the_status_is_the_same() -> None:
    conditions = updated((), [ready(False, "One")], 1, NOON)
    conditions = updated(conditions, [ready(False, "Two", "new words")], 2, LATER)
    assert [(item.reason, item.last_transition_time) for item in conditions] == [("Two", NOON)]


def test_the_time_is_taken_anew_to_the_second_when_the_status_changes() -> None:
    conditions = updated(updated((), [ready(False)], 1, NOON), [ready(True)], 1, LATER)
    assert conditions[0].last_transition_time == NOON + timedelta(minutes=1)
    assert is_true(conditions, "Ready")


def test_other_conditions_stay_where_they_are() -> None:
    others = updated((), [ready(True), ConditionUpdate("Paused", False, "No", "")], 1, NOON)
    assert [item.type for item in updated(others, [ready(False)], 2, LATER)] == ["Ready", "Paused"]
    assert condition(others, "Stalled") is None


def test_a_message_that_is_too_long_for_the_api_is_cut() -> None:
    message = updated((), [ready(True, message="x" * 40000)], 1, NOON)[0].message
    assert len(message) == MESSAGE_LIMIT
    assert message.endswith("…")


def test_a_condition_is_written_as_kubernetes_reads_it() -> None:
    assert codec.builtins(updated((), [ready(True)], 7, NOON)[0]) == {
        "type": "Ready",
        "status": "True",
        "reason": "Because",
        "message": "",
        "observedGeneration": 7,
        "lastTransitionTime": "2026-01-01T12:00:00Z",
    }
