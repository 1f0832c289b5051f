"""Nodes, a clock and an operator that may stop between any two writes: what a rollout meets, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxyconfig_api.encoding import codec
from proxyconfig_api.spec.rollout import OnFailure, Rollout
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.rollout.member import Member, Standing
from proxyconfig_operator.rollout.planner import Step, step_of
from proxyconfig_operator.rollout.release import NONE, Release
from proxyconfig_operator.rollout.request import Request

NOW = datetime(2026, 1, 1, tzinfo=UTC)
APPLY_S = 3


@dataclass
class SimNode:
    group: str = ""
    canary: bool = False
    release: Release = NONE
    """Given by the operator."""
    runs: Release = NONE
    pod: str = ""
    """The revision of the pod of its agent; empty: it has none yet."""
    since: float = 0.0
    """When it was given the release, or began to be healthy on it."""
    up: bool = True
    retry: str = ""
    """The attempt with which it was given the release."""
    back: bool = False
    """Its agent has gone back by itself, and does not try again before another order."""
    taken: bool = False
    """Whether it served when it was given a release that it does not run yet."""


@dataclass
class Simulation:
    settings: Rollout = field(default_factory=Rollout)
    wanted: str = "r1"
    wanted_pods: str = "p1"
    template: str = ""
    """The pod revision of the DaemonSet."""
    nodes: dict[str, SimNode] = field(default_factory=dict)
    bad: set[tuple[str, str]] = field(default_factory=set)
    """Nodes, and revisions that fail there."""
    stuck: set[tuple[str, str]] = field(default_factory=set)
    """Nodes, and revisions, of pods as well, that never get ready there."""
    retry: str = ""
    status: RolloutStatus | None = None
    known: set[str] = field(default_factory=set)
    now_s: float = 0.0
    largest: int = 0
    """The most nodes that were changing at once, of those that served before."""

    def members(self) -> list[Member]:
        return [self._member(name, each) for name, each in sorted(self.nodes.items())]

    def step(self) -> Step:
        self.known |= {self.wanted, self.wanted_pods}
        paused = self.settings.paused
        request = Request(Release(self.wanted, self.wanted_pods), self.settings, follow=not paused, retry=self.retry, known=self.known)
        return step_of(request, self.status, self.members(), NOW)

    def operate(self, writes: int = 10**6) -> bool:
        """One pass of the operator, which stops after so many writes; tell whether there was something to write."""
        step = self.step()
        outdated = [each for each in self.nodes.values() if each.release.pod_revision == self.template != each.pod != ""]
        if writes > 0:
            changed, self.template = step.template != self.template, step.template
        if writes > 1:
            changed, self.status = changed or step.status != self.status, step.status
            takes = any(each.serves for each in self.members() if each.name in step.moves)
            todo = [*step.joins.items(), *step.moves.items()][: writes - 2]
            for name, release in todo:
                self._give(self.nodes[name], name, release, step.status)
            for each in outdated[: writes - 2 - len(todo)]:
                each.pod = ""
            if takes:
                self._check()
            return changed or bool(todo or outdated)
        return False

    def pass_time(self, seconds: float) -> None:
        """Let agents work for a while."""
        self.now_s += seconds
        for name, each in self.nodes.items():
            if each.up and not each.pod:
                each.pod = self.template
            waiting = each.runs != each.release and self.now_s - each.since >= APPLY_S
            if each.up and each.release and each.release.pod_revision in ("", each.pod) and waiting and not each.back:
                self._try(name, each)

    def settle(self) -> RolloutPhase:
        """Let operator and agents work until nothing changes any more; fails if that takes forever."""
        quiet = 0
        for _ in range(4000):
            busy = self.operate()
            self.pass_time(5)
            quiet = 0 if busy else quiet + 1
            if quiet > self.settings.progress_deadline / 5 + 5:
                assert self.status is not None
                return self.status.phase
        raise AssertionError(f"does not end: {self.status} {self.members()}")

    def given(self) -> Mapping[str, int]:
        """How many nodes have which revision."""
        names = [each.release.revision for each in self.nodes.values()]
        return {name: names.count(name) for name in sorted(set(names))}

    def pods(self) -> Mapping[str, int]:
        """How many nodes have a pod of which revision."""
        names = [each.pod for each in self.nodes.values()]
        return {name: names.count(name) for name in sorted(set(names))}

    def _give(self, node: SimNode, name: str, release: Release, status: RolloutStatus) -> None:
        served = self._member(name, node).serves
        node.release, node.since, node.taken = release, self.now_s, served and node.runs != release
        node.retry, node.back = status.observed_retry, False

    def _try(self, name: str, node: SimNode) -> None:
        if not {(name, each) for each in node.release} & (self.bad | self.stuck):
            node.runs, node.since, node.taken = node.release, self.now_s, False
        elif (name, node.release.revision) in self.bad:
            node.back = self.settings.on_failure is OnFailure.ROLLBACK

    def _member(self, name: str, node: SimNode) -> Member:
        settings, waited = self.settings, self.now_s - node.since
        late, left_s = False, None
        if not node.up:
            standing = Standing.UNREACHABLE
        elif node.release and node.runs == node.release and node.release.pod_revision in ("", node.pod):
            standing = Standing.HEALTHY if waited >= settings.hold_period else Standing.HOLDING
        elif node.back or ((name, node.release.revision) in self.bad and waited >= APPLY_S):
            standing = Standing.FAILED
        else:
            standing = Standing.CHANGING
        if standing in (Standing.CHANGING, Standing.UNREACHABLE):
            late = waited > settings.progress_deadline
        words = "" if standing is Standing.HEALTHY else f"{name}: {standing.value}"
        return Member(name, node.release, standing, node.retry, node.pod, node.group, node.canary, late, left_s, words)

    def _check(self) -> None:
        """What holds whenever a node that serves was given another release."""
        taken = [each for name, each in self.nodes.items() if each.taken and each.up and not self._member(name, each).failed]
        first = self.status is not None and not self.status.previous_revision
        if first:
            return
        self.largest = max(self.largest, len(taken))
        limit = max(1, self.settings.max_unavailable.of(len(self.nodes)))
        assert len(taken) <= limit, f"{len(taken)} nodes are changing, {limit} may: {self.status}"
        assert len({each.group for each in taken}) <= 1, f"nodes of two groups are changing: {taken}"


def settings(**fields: object) -> Rollout:
    """spec.rollout as it is written."""
    return codec.decode(fields, Rollout)
