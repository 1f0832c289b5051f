"""The Events that a change of status is worth, for `kubectl describe`. Pure.

Transitions are judged against the status that is in the API server, so a restarted operator repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from proxyconfig_api.conditions import Condition, is_true
from proxyconfig_api.proxyconfig import ProxyConfigStatus
from proxyconfig_operator.decide.plan import Plan
from proxyconfig_operator.decide.removal import Step
from proxyconfig_operator.status.conditions import some

ALARMS = ("Stalled", "Degraded", "Overlapping")


@dataclass(frozen=True, slots=True)
class Announcement:
    kind: Literal["Normal", "Warning"]
    reason: str
    note: str


def announcements_of(before: ProxyConfigStatus, after: ProxyConfigStatus, plan: Plan) -> tuple[Announcement, ...]:
    """What is worth an Event now that `after` follows `before`, and `plan` is carried out."""
    return tuple(_rolling(before, after)) + tuple(_turned(before, after)) + tuple(_unproven(plan))


def _rolling(before: ProxyConfigStatus, after: ProxyConfigStatus) -> Iterator[Announcement]:
    if after.revision and after.revision != before.revision:
        was = f" instead of {before.revision}" if before.revision else ""
        yield Announcement("Normal", "RollingOut", f"{after.nodes.desired} nodes get {after.revision}{was}")


def _turned(before: ProxyConfigStatus, after: ProxyConfigStatus) -> Iterator[Announcement]:
    for condition in after.conditions:
        holds, held = is_true(after.conditions, condition.type), is_true(before.conditions, condition.type)
        if holds != held:
            yield from _turn(condition, holds=holds)


def _turn(condition: Condition, *, holds: bool) -> Iterator[Announcement]:
    match condition.type, holds:
        case kind, True if kind in ALARMS:
            yield Announcement("Warning", condition.reason, condition.message)
        case kind, False if kind in ALARMS:
            yield Announcement("Normal", f"No{kind}" if kind == "Overlapping" else f"Not{kind}", condition.message)
        case "Ready", True:
            yield Announcement("Normal", "Ready", condition.message)
        case "Paused", _:
            yield Announcement("Normal", "Paused" if holds else "Resumed", condition.message)
        case _:
            pass  # the others say the same truth in other words


def _unproven(plan: Plan) -> Iterator[Announcement]:
    nodes = [each.node for each in plan.leaving if each.step is Step.GIVE_UP or (plan.finish and not each.done)]
    if nodes and (plan.finish or plan.move):
        note = f"{some(nodes)} let go without proof that nothing is left in the kernel: run the agent with --cleanup there, or reboot"
        yield Announcement("Warning", "RemovalNotProven", note)
