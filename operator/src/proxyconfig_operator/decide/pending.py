"""What waits while a rollout is paused: `status.plan`. Pure; it asks the planner of rollouts what it would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxyconfig_api.objects.revision import revision_of, written
from proxyconfig_api.rollout import phase
from proxyconfig_api.rollout.fleet import GOING_BACK, Fleet
from proxyconfig_api.rollout.release import Release
from proxyconfig_api.spec.changes import changes_of
from proxyconfig_api.spec.waves import least_s
from proxyconfig_api.status.plan import FIELDS_LIMIT, PlannedField, PlanStatus
from proxyconfig_api.status.rollout import RolloutPhase
from proxyconfig_api.values.duration import Duration
from proxyconfig_operator.decide import agent_daemonset, pod_revisions, rollouts
from proxyconfig_operator.decide.revisions import Verdict
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config


def pending_of(config: Config, manifest: Mapping[str, Any], snapshot: Snapshot) -> PlanStatus | None:
    """What nodes will get when the rollout goes on, which may be the way back; None if it is not paused, or if nothing waits."""
    if snapshot.targets[config.name].verdict is not Verdict.PAUSED or config.status.rollout is None:
        return None
    content = revision_of(config.name, config.spec)
    fleet = _resumed(config, manifest, Release(content.name, agent_daemonset.pod_revision_of(manifest)), snapshot)
    if not fleet.others or fleet.status.phase is RolloutPhase.FAILED:
        return None
    old = {**_stored(fleet.previous.revision, snapshot), **pod_revisions.spec_of(config.name, fleet.previous.pod_revision, snapshot)}
    new = {**content.spec, "agent": written(config.spec.agent)}
    changes = changes_of(new, old) if fleet.status.phase in GOING_BACK else changes_of(old, new)
    waves = len(fleet.waves)
    return PlanStatus(
        revision=fleet.goal.revision,
        pod_revision=fleet.goal.pod_revision,
        fields=tuple(PlannedField(path=each.path, disruption=each.disruption) for each in changes)[:FIELDS_LIMIT],
        nodes=len(fleet.others),
        waves=waves,
        least_time=Duration(least_s(waves, config.spec.rollout)),
    )


def _resumed(config: Config, manifest: Mapping[str, Any], release: Release, snapshot: Snapshot) -> Fleet:
    """The fleet as it will be when the rollout is no longer paused."""
    members, request = rollouts.members_of(config, snapshot), rollouts.request_of(config, manifest, snapshot, release, follow=True)
    begun = Fleet(request, phase.begun(request, config.status.rollout, members, snapshot.now), members)
    return Fleet(request, phase.judged(begun), members)


def _stored(revision: str, snapshot: Snapshot) -> Mapping[str, Any]:
    found = snapshot.revisions.get(revision)
    return (found.data or {}).get("spec", {}) if found is not None else {}
