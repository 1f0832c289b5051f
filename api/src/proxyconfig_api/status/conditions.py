"""Conditions of a status, as metav1.Condition and kstatus define them."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

NOT_OBSERVED = -1
"""`status.observedGeneration` of an object that its controller has not seen, the default in the CRDs: for kstatus it is in progress."""

MESSAGE_LIMIT = 32768
"""More is refused by the API server."""


class ConditionStatus(enum.StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"

    @classmethod
    def of(cls, holds: bool) -> ConditionStatus:
        return cls.TRUE if holds else cls.FALSE


class Condition(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`reason` is a CamelCase word, never empty; `message` a sentence for people."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: datetime = datetime.min.replace(tzinfo=UTC)
    """Set by `updated`."""


class ConditionUpdate(Struct, frozen=True):
    """A condition without its times."""

    type: str
    holds: bool
    reason: str
    message: str


def updated(conditions: Iterable[Condition], updates: Iterable[ConditionUpdate], generation: int, now: datetime) -> tuple[Condition, ...]:
    """`conditions` with each update in the place of the one of its type, else at the end; `generation` is that of the spec they are about.

    `lastTransitionTime` is `now`, to the second, if the status differs from before; else it stays what it was."""
    result = {each.type: each for each in conditions}
    for update in updates:
        result[update.type] = _stamped(update, result.get(update.type), generation, now)
    return tuple(result.values())


def _stamped(update: ConditionUpdate, before: Condition | None, generation: int, now: datetime) -> Condition:
    status = ConditionStatus.of(update.holds)
    same = before is not None and before.status is status
    return Condition(
        type=update.type,
        status=status,
        reason=update.reason,
        message=update.message if len(update.message) <= MESSAGE_LIMIT else update.message[: MESSAGE_LIMIT - 1] + "…",
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and same else now.astimezone(UTC).replace(microsecond=0),
    )


def condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((item for item in conditions if item.type == kind), None)


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether the condition is there and True."""
    found = condition(conditions, kind)
    return found is not None and found.status is ConditionStatus.TRUE
