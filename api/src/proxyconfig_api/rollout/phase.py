"""Which rollout goes on, and in which phase it is. Pure.

All that is kept is `status.rollout`; it is written before any node gets the release. Whoever reads it again at any step, with the
nodes as they are, goes on in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from proxyconfig_api.rollout.fleet import GOING_BACK, Fleet
from proxyconfig_api.rollout.member import Member
from proxyconfig_api.rollout.release import NONE, Release, previous_of, release_of
from proxyconfig_api.rollout.request import Request
from proxyconfig_api.spec.rollout import OnFailure
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus

_FAILED = (*GOING_BACK, RolloutPhase.FAILED)


def begun(request: Request, before: RolloutStatus | None, members: Sequence[Member], now: datetime) -> RolloutStatus:
    """The rollout of the request: the one of `before`, or a new one."""
    if before is not None and not request.follow:
        return before
    if before is not None and release_of(before) == request.release and not _retried(request, before):
        return _without_retry(request, before)
    previous = _previous(request, before, members)
    return RolloutStatus(
        revision=request.release.revision,
        pod_revision=request.release.pod_revision,
        previous_revision=previous.revision,
        previous_pod_revision=previous.pod_revision,
        started_at=now.replace(microsecond=0),
        observed_retry=request.retry,
    )


def judged(fleet: Fleet) -> RolloutStatus:
    """The rollout in the phase that it is in, given how the nodes do."""
    status, request = fleet.status, fleet.request
    if not request.follow:
        paused = request.settings.paused and status.phase is RolloutPhase.PROGRESSING
        return msgspec.structs.replace(status, phase=RolloutPhase.PAUSED, message="") if paused else status
    if status.phase in GOING_BACK:
        phase = RolloutPhase.ROLLED_BACK if fleet.is_back else RolloutPhase.ROLLING_BACK
        return msgspec.structs.replace(status, phase=phase)
    if status.phase is RolloutPhase.COMPLETE:
        return status
    if fleet.gated and fleet.has_failed:
        return _failed(fleet)
    return msgspec.structs.replace(status, phase=RolloutPhase.PROGRESSING, aborted=0, message="")


def _retried(request: Request, before: RolloutStatus) -> bool:
    return request.retry not in (before.observed_retry, before.ignored_retry) and before.phase in _FAILED


def _without_retry(request: Request, before: RolloutStatus) -> RolloutStatus:
    """What came while there was nothing to retry must not undo a later failure."""
    if before.phase in _FAILED:
        return before
    ignored = request.retry if request.retry != before.observed_retry else ""
    return msgspec.structs.replace(before, ignored_retry=ignored)


def _previous(request: Request, before: RolloutStatus | None, members: Sequence[Member]) -> Release:
    """The last release that is known to be good; without a status, as after an upgrade, what most nodes have."""
    held = Counter(each.release for each in members if each.release)
    if not held:
        return NONE
    if before is not None:
        return release_of(before) if before.phase is RolloutPhase.COMPLETE else previous_of(before)
    others = [release for release, _ in sorted(held.items(), key=lambda each: (-each[1], each[0])) if release != request.release]
    return others[0] if others else request.release


def _failed(fleet: Fleet) -> RolloutStatus:
    failed = [each for each in fleet.given if each.failed]
    back = fleet.request.settings.on_failure is OnFailure.ROLLBACK and fleet.can_go_back
    return msgspec.structs.replace(
        fleet.status,
        phase=RolloutPhase.ROLLING_BACK if back else RolloutPhase.FAILED,
        failed=len(failed),
        aborted=len(fleet.members) - len(fleet.given),
        message=failed[0].words,
    )
