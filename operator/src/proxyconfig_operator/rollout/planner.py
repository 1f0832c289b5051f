"""The next step of a rollout, from what is observed. Pure: no clock is read, nothing is remembered.

A wave begins when no node's change is open any more, so every wave was healthy for the hold period before the next one. On the way
back there are no waves: nodes change as others are done. In both, never more than `maxUnavailable` nodes are changing at once, nor
nodes of two groups. Nodes that were down when their wave came get the release when the rollout is complete, and fail nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from proxyconfig_api.rollout import phase
from proxyconfig_api.rollout.fleet import GOING_BACK, Fleet
from proxyconfig_api.rollout.member import Member, Standing
from proxyconfig_api.rollout.release import Release
from proxyconfig_api.rollout.request import Request
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.rollout import words
from proxyconfig_operator.rollout.order import order_of


@dataclass(frozen=True, slots=True)
class Step:
    status: RolloutStatus
    """To be written before the moves."""
    moves: Mapping[str, Release]
    """Nodes that have a release and get another one, or the same one in another attempt."""
    orders: Mapping[str, Release]
    """What these nodes, and those that are under way, are ordered now: see `order`."""
    joins: Mapping[str, Release]
    """Nodes that have none and get one."""
    template: str
    """The pod revision that new pods of agents are made of: of the DaemonSet."""
    awaited: tuple[str, ...] = ()
    """Nodes of the next wave, while it waits for their probe pods."""
    overdue: tuple[str, ...] = ()
    """Of each node that has not become ready in time in a first installation, which goes on: its words."""
    again_in_s: float | None = None
    """When time alone may allow the next step, or make a node overdue."""


def step_of(request: Request, before: RolloutStatus | None, members: Sequence[Member], now: datetime) -> Step:
    """The next step of the rollout of `request`, given what was written of it `before`; `now` stamps a new one."""
    begun = Fleet(request, phase.begun(request, before, members, now), members)
    fleet = Fleet(request, phase.judged(begun), members)
    able = _moving(fleet) if request.follow else ()
    awaited = able if fleet.gated and any(each.awaits_s > 0 for each in able) else ()
    moving = () if awaited else able
    status = _described(fleet, moving, awaited)
    moves = {each.name: fleet.goal for each in moving}
    orders = _orders(fleet, moves)
    return Step(
        status,
        moves,
        orders,
        {each.name: fleet.safe for each in members if not each.release},
        fleet.template(orders),
        tuple(each.name for each in awaited),
        tuple(each.words or f"node {each.name} has yet to change" for each in replace(fleet, status=status).overdue),
        None if moving else _again_in_s(fleet, status, awaited),
    )


def _orders(fleet: Fleet, moves: Mapping[str, Release]) -> Mapping[str, Release]:
    """Nodes that are under way get there also while the rollout is paused; where it has failed, and nodes keep what they have, they do
    as well."""
    if fleet.status.phase is RolloutPhase.FAILED:
        return {}
    going = (each for each in fleet.members if each.name in moves or each.is_under_way)
    targets = ((each, moves.get(each.name, each.release)) for each in going)
    return {each.name: order_of(each, target, fleet.request.fits, back=target == fleet.previous) for each, target in targets}


def _again_in_s(fleet: Fleet, status: RolloutStatus, awaited: Sequence[Member]) -> float | None:
    if not fleet.request.follow or (status.phase is RolloutPhase.COMPLETE and fleet.previous):
        return None
    changing = (each.left_s for each in fleet.members if each.release and each.left_s is not None)
    return min((*changing, *(each.awaits_s for each in awaited if each.awaits_s > 0)), default=None)


def _moving(fleet: Fleet) -> Sequence[Member]:
    """The nodes that get the goal now."""
    if fleet.status.phase is RolloutPhase.FAILED:
        return ()
    if fleet.gated:
        return _wave(fleet) if fleet.waves and not fleet.open else ()
    if not fleet.previous:
        return fleet.others
    free = [each for each in fleet.others if _is_free(each, fleet)]
    names = {each.name for each in free}
    return (*free, *_as_others_end(fleet, free, [each for each in fleet.others if each.name not in names]))


def _wave(fleet: Fleet) -> Sequence[Member]:
    """The next wave. Nodes that still change by an earlier rollout are waited for; of these, those of the wave need not wait."""
    going = {each.name for each in fleet.still_changing}
    return [each for each in fleet.waves[0] if each.name in going] if going else fleet.waves[0]


def _is_free(member: Member, fleet: Fleet) -> bool:
    """Whether a change takes nothing away: the node does not serve, and it goes to what is good or has no part in the rollout."""
    back = fleet.goal == fleet.previous
    return not member.serves and (back or member.failed or member.standing is Standing.UNREACHABLE)


def _as_others_end(fleet: Fleet, free: Sequence[Member], others: Sequence[Member]) -> Sequence[Member]:
    """Of `others`, as many as may change beside those that are changing and those that are free to, of one group."""
    going = [each for each in free if each.standing is not Standing.UNREACHABLE]
    busy = [*(each for each in fleet.open if each.standing is Standing.CHANGING), *going]
    ranked = sorted(others, key=lambda each: (each.group, each.name))
    group = next((each.group for each in (*busy, *ranked)), "")
    return [each for each in ranked if each.group == group][: max(0, fleet.limit - len(busy))]


def _described(fleet: Fleet, moving: Sequence[Member], awaited: Sequence[Member]) -> RolloutStatus:
    """The rollout with its numbers; those of a failure stay. `awaited` move next."""
    status = msgspec.structs.replace(fleet.status, updated=sum(each.serves for each in fleet.given))
    if status.phase in (RolloutPhase.FAILED, *GOING_BACK) or not fleet.request.follow:
        return status
    if fleet.gated:
        waves, left = len(fleet.all_waves), len(fleet.waves) - bool(moving or awaited)
        status = msgspec.structs.replace(status, wave=max(1, waves - left), waves=max(1, waves))
    complete = status.phase is RolloutPhase.COMPLETE or (not moving and fleet.is_complete)
    return msgspec.structs.replace(
        status,
        phase=RolloutPhase.COMPLETE if complete else status.phase,
        failed=sum(each.failed for each in fleet.given),
        message=words.waiting(awaited) if awaited else words.of(fleet, moving, complete=complete),
    )
