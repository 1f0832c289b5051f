"""The nodes of a ProxyConfig in the light of a rollout. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from proxyconfig_api.rollout.member import Member, Standing
from proxyconfig_api.rollout.release import NONE, Release, previous_of, release_of
from proxyconfig_api.rollout.request import Request
from proxyconfig_api.spec.waves import limit_of, waves_of
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus

Wave = tuple[Member, ...]
GOING_BACK = (RolloutPhase.ROLLING_BACK, RolloutPhase.ROLLED_BACK)


@dataclass(frozen=True)
class Fleet:
    request: Request
    status: RolloutStatus
    members: Sequence[Member]

    @cached_property
    def release(self) -> Release:
        """The one that is rolled out."""
        return release_of(self.status)

    @cached_property
    def previous(self) -> Release:
        """The last one that is known to be good; empty at a first installation."""
        return previous_of(self.status)

    @cached_property
    def goal(self) -> Release:
        """What nodes get."""
        return self.previous if self.status.phase in GOING_BACK else self.release

    @property
    def gated(self) -> bool:
        """Whether failures stop the rollout: not where nothing worked before, not on the way to what did, and not afterwards."""
        return bool(self.previous) and self.goal != self.previous and self.status.phase is not RolloutPhase.COMPLETE

    @property
    def can_go_back(self) -> bool:
        pods, known = self.previous.pod_revision, self.request.known
        return self.previous.revision in known and (pods in ("", self.release.pod_revision) or pods in known)

    @property
    def safe(self) -> Release:
        """For nodes that have none: the last one that is known to be good."""
        return self.previous if self.can_go_back and self.status.phase is not RolloutPhase.COMPLETE else self.release

    @property
    def limit(self) -> int:
        """How many nodes may be changing at once."""
        return limit_of(self.request.settings, len(self.members))

    @cached_property
    def given(self) -> Sequence[Member]:
        """Nodes that were given the release."""
        return [each for each in self.members if each.release == self.release and not self._awaits_retry(each)]

    @cached_property
    def others(self) -> Sequence[Member]:
        """Nodes that have a release, but not the goal, or have failed in an earlier attempt at it."""
        return [each for each in self.members if each.release not in (NONE, self.goal) or self._awaits_retry(each)]

    @property
    def still_changing(self) -> Sequence[Member]:
        """Nodes of which an earlier rollout has left the outcome open: not those that have joined, or whose agent restarts."""
        going = [each for each in self.others if each.standing is Standing.CHANGING and not each.late]
        return [each for each in going if each.release != self.previous or (each.unobserved and each.runs)]

    @cached_property
    def open(self) -> Sequence[Member]:
        """Nodes that were given the goal, and of which the outcome is not known."""
        return [each for each in self.members if each.release == self.goal and each.changing]

    @property
    def has_failed(self) -> bool:
        """Whether more nodes have failed than may."""
        return sum(each.failed for each in self.given) > self.request.settings.max_failures.of(len(self.members))

    @property
    def overdue(self) -> Sequence[Member]:
        """Nodes of a first installation that have not become ready within the deadline, though their kubelets answer. When it is complete,
        as all others serve, that is those that have never applied anything."""
        phase = self.status.phase
        if self.previous or phase not in (RolloutPhase.PROGRESSING, RolloutPhase.COMPLETE):
            return ()
        late = [each for each in self.members if each.late and not each.serves and each.standing is not Standing.UNREACHABLE]
        return [each for each in late if phase is RolloutPhase.PROGRESSING or not each.runs]

    @property
    def is_back(self) -> bool:
        return not self.others and not any(each.standing is Standing.CHANGING for each in self.open)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to wait for, if nothing is to move."""
        if any(not each.release for each in self.members):
            return False
        if self.gated:
            return not self.open and not self.able and not any(each.standing is Standing.CHANGING and not each.late for each in self.others)
        works = not self.members or bool(self.previous) or any(each.serves for each in self.members)
        return works and not self.others and not any(each.standing is Standing.CHANGING for each in self.open)

    @cached_property
    def able(self) -> Sequence[Member]:
        """Nodes of which a change tells something: they serve, or have a release that is not known to be good."""
        previous = self.previous
        return [each for each in self.others if each.serves or (each.release != previous and each.standing is not Standing.UNREACHABLE)]

    @cached_property
    def waves(self) -> tuple[Wave, ...]:
        """The waves that are left."""
        return self._waves(self.able, len(self.given)) if self.gated else ()

    @cached_property
    def all_waves(self) -> tuple[Wave, ...]:
        """The waves from the beginning, for the nodes that there are now."""
        return self._waves([*self.given, *self.able], 0) if self.gated else ()

    def template(self, orders: Mapping[str, Release]) -> str:
        """Of which revision pods are to be made, if these orders are given. While the release is on trial it is that only for as long as
        nodes that are to have such a pod have another one: pods that come for other reasons are of the one that is known to be good."""
        made = self.goal.pod_revision
        if not self.gated or not self.can_go_back or not self.previous.pod_revision:
            return made
        lacks = any(orders.get(each.name, each.held).pod_revision == made != each.pod_revision for each in self.members)
        return made if lacks else self.previous.pod_revision

    def _awaits_retry(self, member: Member) -> bool:
        """Whether a node has failed on the goal before the rollout was retried: then it is given the goal again."""
        return self.gated and member.failed and member.release == self.goal and member.retry != self.status.observed_retry

    def _waves(self, candidates: Sequence[Member], given: int) -> tuple[Wave, ...]:
        # Nodes that do not have the previous release, which is known to be good, come first; of these, nodes that are changing already.
        changes = Standing.CHANGING
        ranked = sorted(candidates, key=lambda each: (each.release == self.previous, each.standing is not changes, each.group, each.name))
        return waves_of(ranked, self.request.settings, total=len(self.members), given=given)
