"""What a node is ordered next on its way to a release, so that its pod is not replaced while its revision changes. Pure.

Who replaces the pod of an agent that changes a revision takes away the one that can undo the change. So a node gets one half of a
release, and the other half when that is done: first the pod, if the new one can run the old revision, else first the revision. On the
way back the revision comes first where the pod can run it, as it need not wait for a pod.
"""

from __future__ import annotations

from proxyconfig_api.rollout.member import Member
from proxyconfig_api.rollout.release import Release
from proxyconfig_api.rollout.request import Fits


def order_of(member: Member, target: Release, fits: Fits, *, back: bool) -> Release:
    """What `member` gets now; what it holds already where it has to finish that first. `back`: `target` is known to be good."""
    held, pod = member.held, member.pod_revision
    if target.pod_revision in ("", pod) or (back and not pod):
        starts = member.is_under_way and not member.agent_ready and not back
        return Release(held.revision, target.pod_revision) if starts else target
    if held.revision == target.revision:
        is_first_half = member.is_under_way and not back
        waits = member.in_change or (is_first_half and not member.held_healthy)
        return held if waits else target
    return _half(member, target, fits, back=back)


def _half(member: Member, target: Release, fits: Fits, *, back: bool) -> Release:
    """Where both halves differ. Where no pod fits both revisions, or the one that does is not at work, both change at once."""
    pod_first, revision_first = Release(member.held.revision, target.pod_revision), Release(target.revision, member.pod_revision)
    pod_fits = all(fits(each, target.pod_revision) for each in {member.held.revision, member.runs or member.held.revision})
    works = member.agent_ready or not member.failed
    revision_fits = works and bool(member.pod_revision) and fits(target.revision, member.pod_revision)
    if revision_fits and (back or not pod_fits):
        return revision_first
    if pod_fits:
        return member.held if member.in_change else pod_first
    return target
