"""What applying a ProxyConfig will do: fields that change, nodes that come and go, and how the others get the change. Pure.

The rules are the operator's own: which nodes it will have, and in which waves a rollout reaches them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from proxyconfig_api.objects.assignment import Assignment, assign
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.rollout import phase
from proxyconfig_api.rollout.fleet import GOING_BACK, Fleet
from proxyconfig_api.rollout.member import Member
from proxyconfig_api.rollout.release import goal_of, previous_of, release_of
from proxyconfig_api.rollout.request import Request
from proxyconfig_api.spec.rollout import RETRY_ANNOTATION
from proxyconfig_api.spec.waves import least_s
from proxyconfig_api.status.rollout import RolloutPhase
from proxyconfig_cli.rollout.effects import PlannedChange, planned_changes
from proxyconfig_cli.rollout.history import Revision
from proxyconfig_cli.rollout.nodes import Node, member_of
from proxyconfig_cli.rollout.releases import Releases

_UNDATED = datetime.min.replace(tzinfo=UTC)
"""When a rollout begins is for its status alone."""


class Course(enum.StrEnum):
    """How the nodes get a change."""

    NONE = "None"
    """It changes nothing on a node, or the rollout of it is complete."""
    AT_ONCE = "AtOnce"
    """There is nothing to go back to."""
    WAVES = "Waves"
    BACK = "Back"
    """To what the last complete rollout left: as others are done, without waves."""
    FAILED = "Failed"
    """The rollout of it has failed, and only a retry starts it again."""


@dataclass(frozen=True, slots=True)
class Cluster:
    before: ProxyConfig | None = None
    """None if there is no such ProxyConfig yet."""
    others: Sequence[ProxyConfig] = ()
    nodes: Sequence[Node] = ()
    """All of the cluster."""
    proxies: Mapping[str, NodeProxy] = field(default_factory=dict)
    """By the name of the node."""
    revisions: Sequence[Revision] = ()
    """Of the ProxyConfig, of both components."""


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    changes: tuple[PlannedChange, ...]
    joining: tuple[str, ...]
    """Nodes that the ProxyConfig gets newly, sorted."""
    leaving: tuple[str, ...]
    elsewhere: Mapping[str, tuple[str, ...]]
    """Nodes that it selects and another one has, by the name of that one."""
    nodes: int
    """That it will have."""
    selector: str
    """Which it selects, as kubectl writes it; empty: all."""
    linux_nodes: int
    """Of the cluster: it has no others."""
    course: Course
    deleting: bool
    """Whether it is being deleted: then it gets no node."""
    paused: bool
    """Whether nothing of the course happens until spec.rollout.paused is false."""
    revision: str
    """The new one; empty where the kernel of no node changes."""
    replaces_pods: bool
    """Whether the agents' pods are replaced, on the same course."""
    changing: int
    """Nodes that get it on the course."""
    updated: int
    """Nodes that have all of it already."""
    passed_over: tuple[str, ...]
    """Nodes that are down or not ready: waves do without them, and they get it afterwards."""
    waves: int
    """0 on any other course."""
    least_s: float
    """The shortest time that the waves take."""


def plan(after: ProxyConfig, cluster: Cluster, schema: Mapping[str, Any]) -> Plan:
    """`after` is the ProxyConfig of the file; `schema` is the one of `spec` in the CRD."""
    before, name = cluster.before, after.metadata.name
    coming = _applied(after, before)
    now = assign((*cluster.others, coming), cluster.nodes)
    was = set(assign((*cluster.others, before), cluster.nodes).members[name]) if before is not None else set()
    changes = planned_changes(before.spec if before is not None else None, after.spec, schema)
    fleet = _fleet(coming, now.members[name], cluster)
    course = _course(fleet) if changes or before is None else Course.NONE
    moving = _moving(fleet, course)
    able = {each.name for each in fleet.able}
    over = [each.name for each in moving if course is Course.WAVES and each.name not in able]
    waves = len(fleet.waves) if course is Course.WAVES else 0
    is_new = any(each.release.revision != fleet.release.revision for each in moving)
    return Plan(
        name=name,
        changes=changes,
        joining=tuple(each for each in now.members[name] if each not in was),
        leaving=tuple(sorted(was - set(now.members[name]))),
        elsewhere=_elsewhere(name, now),
        nodes=len(fleet.members),
        selector=str(after.spec.node_selector),
        linux_nodes=len(now.winners) + len(now.unselected),
        course=course,
        deleting=coming.metadata.deletion_timestamp is not None,
        paused=after.spec.rollout.paused,
        revision=fleet.release.revision if course is not Course.NONE and (is_new or not moving) else "",
        replaces_pods=any(each.release and each.release.pod_revision != fleet.release.pod_revision for each in moving),
        changing=len(moving) - len(over),
        updated=sum(goal_of(cluster.proxies.get(each.name), name) == fleet.release for each in fleet.members),
        passed_over=tuple(over),
        waves=waves,
        least_s=least_s(waves, after.spec.rollout),
    )


def _applied(after: ProxyConfig, before: ProxyConfig | None) -> ProxyConfig:
    """As the API server has it afterwards: a file knows neither age nor annotations that others have written."""
    if before is None:
        return after
    annotations = {**before.metadata.annotations, **after.metadata.annotations}
    return msgspec.structs.replace(after, metadata=msgspec.structs.replace(before.metadata, annotations=annotations), status=before.status)


def _fleet(coming: ProxyConfig, nodes: Iterable[str], cluster: Cluster) -> Fleet:
    """The nodes in the light of the rollout that the operator will begin, or go on with, once it is not paused."""
    name, status, settings = coming.metadata.name, coming.status.rollout, coming.spec.rollout
    by_name = {each.metadata.name: each for each in cluster.nodes}
    members = [member_of(by_name[each], cluster.proxies.get(each), name, settings) for each in nodes]
    releases = Releases(name, (cluster.before or coming).spec, cluster.revisions)
    stated = (release_of(status), previous_of(status)) if status is not None else ()
    release = releases.asked_by(coming.spec, (*stated, *(each.release for each in members)))
    request = Request(release, settings, retry=coming.metadata.annotations.get(RETRY_ANNOTATION, ""), known=releases.known)
    fleet = Fleet(request, phase.begun(request, status, members, _UNDATED), members)
    return Fleet(request, fleet.status, [_joined(each, fleet) for each in members])


def _joined(member: Member, fleet: Fleet) -> Member:
    """A node that joins during a rollout gets the last good release at once, and the new one with a later wave."""
    return member if member.release or not fleet.previous else replace(member, release=fleet.safe)


def _course(fleet: Fleet) -> Course:
    status = fleet.status.phase
    if status is RolloutPhase.COMPLETE or not fleet.members:
        return Course.NONE
    if status in (RolloutPhase.FAILED, *GOING_BACK):
        return Course.FAILED
    if not fleet.previous:
        return Course.AT_ONCE
    return Course.WAVES if fleet.gated else Course.BACK


def _moving(fleet: Fleet, course: Course) -> Sequence[Member]:
    if course in (Course.NONE, Course.FAILED):
        return ()
    return [each for each in fleet.members if each.release != fleet.release]


def _elsewhere(name: str, assigned: Assignment) -> dict[str, tuple[str, ...]]:
    lost = assigned.overlaps.get(name, {})
    return {winner: tuple(node for node, has in lost.items() if has == winner) for winner in sorted(set(lost.values()))}
