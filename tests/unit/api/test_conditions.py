from __future__ import annotations

from datetime import UTC, datetime, timedelta

from proxyconfig_api import codec
from proxyconfig_api.conditions import MESSAGE_LIMIT, Condition, ConditionStatus, condition, is_true, with_condition

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1, microseconds=5)


def ready(holds: bool, reason: str = "Because", message: str = "") -> Condition:
    return Condition(type="Ready", status=ConditionStatus.of(holds), reason=reason, message=message)


def test_the_time_is_kept_while_the_status_is_the_same() -> None:
    conditions = with_condition((), ready(False, "One"), NOON)
    conditions = with_condition(conditions, ready(False, "Two", "new words"), LATER)
    assert [(item.reason, item.last_transition_time) for item in conditions] == [("Two", NOON)]


def test_the_time_is_taken_anew_to_the_second_when_the_status_changes() -> None:
    conditions = with_condition(with_condition((), ready(False), NOON), ready(True), LATER)
    assert conditions[0].last_transition_time == NOON + timedelta(minutes=1)
    assert is_true(conditions, "Ready")


def test_other_conditions_stay_where_they_are() -> None:
    others = with_condition(
        with_condition((), ready(True), NOON), Condition(type="Paused", status=ConditionStatus.FALSE, reason="No"), NOON
    )
    assert [item.type for item in with_condition(others, ready(False), LATER)] == ["Ready", "Paused"]
    assert condition(others, "Stalled") is None


def test_a_message_that_is_too_long_for_the_api_is_cut() -> None:
    message = with_condition((), ready(True, message="x" * 40000), NOON)[0].message
    assert len(message) == MESSAGE_LIMIT
    assert message.endswith("…")


def test_a_condition_is_written_as_kubernetes_reads_it() -> None:
    assert codec.builtins(with_condition((), ready(True), NOON)[0]) == {
        "type": "Ready",
        "status": "True",
        "reason": "Because",
        "message": "",
        "observedGeneration": 0,
        "lastTransitionTime": "2026-01-01T12:00:00Z",
    }
