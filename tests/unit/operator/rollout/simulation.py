"""Nodes, a clock and an operator that may stop between any two writes: what a rollout meets, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxyconfig_api.encoding import codec
from proxyconfig_api.rollout.member import Member, Standing
from proxyconfig_api.rollout.release import NONE, Release, previous_of
from proxyconfig_api.rollout.request import Request
from proxyconfig_api.spec.rollout import OnFailure, Rollout
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.rollout.planner import Step, step_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
APPLY_S, START_S = 3, 2
"""What an agent needs for a revision, and a pod until it is Ready."""
PATIENCE_S = 60
"""For how long at most a change waits for its probe pod."""


@dataclass
class SimNode:
    group: str = ""
    canary: bool = False
    release: Release = NONE
    """Given by the operator: what it is ordered now."""
    goal: Release = NONE
    """What it is on its way to."""
    runs: str = ""
    """The revision in its kernel."""
    pod: str = ""
    """The revision of the pod of its agent; empty: it has none yet."""
    pod_since: float = 0.0
    ordered: float = 0.0
    """When it was given its release."""
    since: float = 0.0
    """When it was given its goal, or began to be healthy on its release."""
    up: bool = True
    retry: str = ""
    """The attempt with which it was given the goal."""
    back: bool = False
    """Its agent has gone back by itself, and does not try again before another order."""
    answered: bool = True
    """Whether its agent has reported about the last order."""
    taken: bool = False
    """Whether it served when it was given a goal that it does not run yet."""
    excused: bool = False
    """Whether it had failed when it was given its release, or somebody else took its pod away."""


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
    weak: set[str] = field(default_factory=set)
    """Revisions of pods in which not every revision can run."""
    demanding: set[str] = field(default_factory=set)
    """Revisions that cannot run there."""
    unprobed: set[str] = field(default_factory=set)
    """Nodes whose probe pods never get ready."""
    awaited: dict[str, float] = field(default_factory=dict)
    """Nodes that wait for a probe pod, and since when."""
    retry: str = ""
    status: RolloutStatus | None = None
    known: set[str] = field(default_factory=set)
    now_s: float = 0.0
    largest: int = 0
    """The most nodes that were changing at once, of those that served before."""

    def members(self) -> list[Member]:
        return [self._member(name) for name in sorted(self.nodes)]

    def fits(self, revision: str, pod: str) -> bool:
        return not (revision in self.demanding and pod in self.weak)

    def step(self) -> Step:
        self.known |= {self.wanted, self.wanted_pods}
        request = Request(
            Release(self.wanted, self.wanted_pods),
            self.settings,
            follow=not self.settings.paused,
            retry=self.retry,
            known=self.known,
            fits=self.fits,
        )
        return step_of(request, self.status, self.members(), NOW)

    def operate(self, writes: int = 10**6) -> bool:
        """One pass of the operator, which stops after so many writes; tell whether there was something to write."""
        step = self.step()
        unprobed = [name for name, goal in step.moves.items() if self._is_gated(goal, step) and self._awaits_s(name)]
        assert not unprobed, f"{unprobed} change without what probes them"
        stays = [name for name, each in self.nodes.items() if step.orders.get(name, each.release) == each.release]
        outdated = [name for name in stays if self.nodes[name].release.pod_revision == self.template != self.nodes[name].pod != ""]
        if writes > 0:
            self.awaited = {name: self.awaited.get(name, self.now_s) for name in step.awaited}
            changed, self.template = step.template != self.template, step.template
        if writes > 1:
            changed, self.status = changed or step.status != self.status, step.status
            takes = any(each.serves for each in self.members() if each.name in step.moves)
            todo = self._todo(step)[: writes - 2]
            for name, release in todo:
                self._give(name, release, step)
            for name in outdated[: writes - 2 - len(todo)]:
                self._end_pod(name)
            if takes:
                self._check()
            return changed or bool(todo or outdated)
        return False

    def pass_time(self, seconds: float) -> None:
        """Let agents work for a while."""
        self.now_s += seconds
        for name, each in self.nodes.items():
            if each.up and not each.pod:
                each.pod, each.pod_since = self.template, self.now_s
            if each.up and each.release and self._is_ready(name):
                self._work(name, each)

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

    def _todo(self, step: Step) -> list[tuple[str, Release]]:
        """The orders that are another one than the node has, or go to another goal."""
        orders = [(name, release) for name, release in step.orders.items() if name in step.moves or self.nodes[name].release != release]
        return [*step.joins.items(), *orders]

    def _give(self, name: str, release: Release, step: Step) -> None:
        node, served = self.nodes[name], self._member(name).serves
        goal = step.joins.get(name) or step.moves.get(name) or node.goal
        self._check_order(name, release)
        if (goal, step.status.observed_retry) != (node.goal, node.retry):
            node.since = self.now_s
        node.taken = (served or node.taken) and (node.runs, node.pod) != goal
        if release.revision != node.release.revision or name in step.moves:
            node.back = node.back and release.revision == node.release.revision != goal.revision
        if name in step.moves:
            node.retry = step.status.observed_retry
        node.release, node.goal, node.ordered, node.answered = release, goal, self.now_s, False

    def _work(self, name: str, node: SimNode) -> None:
        """What an agent does that runs."""
        revision = node.release.revision
        if node.runs != revision and not node.back and self.now_s - node.ordered >= APPLY_S:
            if (name, revision) in self.bad:
                node.back, node.answered = self.settings.on_failure is OnFailure.ROLLBACK, True
            elif (name, revision) not in self.stuck and self.fits(revision, node.pod):
                node.runs, node.since = revision, self.now_s
        node.answered |= node.runs == revision or node.back
        if (node.runs, node.pod) == node.goal or (node.runs == revision and not node.release.pod_revision):
            node.taken = node.excused = False

    def _is_ready(self, name: str) -> bool:
        """Whether its pod is."""
        node = self.nodes[name]
        fits = not node.runs or self.fits(node.runs, node.pod)
        return fits and node.pod != "" and (name, node.pod) not in self.stuck and self.now_s - node.pod_since >= START_S

    def _is_in_change(self, name: str) -> bool:
        """Whether its agent may be changing its revision."""
        node = self.nodes[name]
        fails = (name, node.release.revision) in self.bad and self.now_s - node.ordered >= APPLY_S
        return self._is_ready(name) and node.release.revision != node.runs != "" and not node.back and not fails

    def _end_pod(self, name: str) -> None:
        """The operator deletes the pod of a node."""
        node = self.nodes[name]
        assert not self._is_in_change(name) or node.excused, f"the pod of {name} is replaced while its revision changes: {node}"
        node.pod = ""

    def _check_order(self, name: str, release: Release) -> None:
        """What holds whenever an agent that runs is ordered another revision."""
        node, member = self.nodes[name], self._member(name)
        node.excused = node.excused or member.failed
        if node.excused or not self._is_ready(name) or release.revision in (node.release.revision, node.runs):
            return
        assert self.fits(release.revision, node.pod), f"{name} is ordered {release}, which its pod cannot run: {node}"
        assert release.pod_revision in ("", node.pod), f"{name} is ordered {release} while its pod is another one: {node}"

    def _is_gated(self, goal: Release, step: Step) -> bool:
        previous = previous_of(step.status)
        return bool(previous) and goal != previous and step.status.phase is not RolloutPhase.COMPLETE

    def _awaits_s(self, name: str) -> float:
        """What a change to the wanted revision waits for its probe pod."""
        if not self.settings.probes.pod or self.nodes[name].release.revision == self.wanted:
            return 0.0
        waited_s = self.now_s - self.awaited.get(name, self.now_s)
        ready = name in self.awaited and waited_s >= START_S and name not in self.unprobed
        return 0.0 if ready else max(0.0, PATIENCE_S - waited_s)

    def _member(self, name: str) -> Member:
        node = self.nodes[name]
        on_held, ready = self._on_held(name), self._is_ready(name) and node.release.pod_revision in ("", node.pod)
        standing = on_held
        if node.release != node.goal and on_held is not Standing.UNREACHABLE:
            old = ready and node.release.revision != node.goal.revision
            standing = Standing.FAILED if on_held is Standing.FAILED and not old else Standing.CHANGING
        late = standing in (Standing.CHANGING, Standing.UNREACHABLE) and self.now_s - node.since > self.settings.progress_deadline
        return Member(
            name,
            node.goal,
            standing,
            node.retry,
            node.pod,
            node.group,
            node.canary,
            late,
            words="" if standing is Standing.HEALTHY else f"{name}: {standing.value}",
            held=node.release,
            runs=node.runs,
            agent_ready=node.up and ready,
            held_healthy=on_held is Standing.HEALTHY,
            unobserved=not node.answered,
            awaits_s=self._awaits_s(name),
        )

    def _on_held(self, name: str) -> Standing:
        """How it does on what it was given."""
        node = self.nodes[name]
        if not node.up:
            return Standing.UNREACHABLE
        if node.release and node.runs == node.release.revision and node.release.pod_revision in ("", node.pod) and self._is_ready(name):
            held_s = self.now_s - max(node.since, node.pod_since + START_S)
            return Standing.HEALTHY if held_s >= self.settings.hold_period else Standing.HOLDING
        fails = (name, node.release.revision) in self.bad and self.now_s - node.ordered >= APPLY_S
        return Standing.FAILED if node.back or fails else Standing.CHANGING

    def _check(self) -> None:
        """What holds whenever a node that serves was given another release."""
        taken = [each for name, each in self.nodes.items() if each.taken and each.up and not self._member(name).failed]
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
