"""Conditions of a status, as metav1.Condition and kstatus define them."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

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
    """Set by `with_condition`."""


def with_condition(conditions: Iterable[Condition], new: Condition, now: datetime) -> tuple[Condition, ...]:
    """`conditions` with `new` in the place of the one of its type, else at the end.

    `lastTransitionTime` is `now`, to the second, if the status differs from before; else it stays what it was."""
    before = tuple(conditions)
    old = condition(before, new.type)
    moment = old.last_transition_time if old and old.status is new.status else now.astimezone(UTC).replace(microsecond=0)
    message = new.message if len(new.message) <= MESSAGE_LIMIT else new.message[: MESSAGE_LIMIT - 1] + "…"
    stamped = msgspec.structs.replace(new, last_transition_time=moment, message=message)
    if old is None:
        return (*before, stamped)
    return tuple(stamped if item.type == new.type else item for item in before)


def condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((item for item in conditions if item.type == kind), None)


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether the condition is there and True."""
    found = condition(conditions, kind)
    return found is not None and found.status is ConditionStatus.TRUE
