"""A change of the node from one order to the next, as a state machine: a change and an event make the next change. Pure.

    Asking ─▶ Applying ─▶ Probing ─▶ Holding ─▶ Committed
                             │          │
                             └────┬─────┘
                                  ▼
                              Returning ─▶ RolledBack

Asking: probes, before anything is changed. A first installation has no order before: nothing is asked, and nothing can be gone back to.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from proxyconfig_agent.checks.probes.judge import failed, failed_before, judged, sentence, statuses
from proxyconfig_agent.checks.probes.model import Answer
from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.spec.rollout import OnFailure
from proxyconfig_api.spec.sections import Mode, Nftables, ProxyConfigSpec
from proxyconfig_api.status.rollout import ChangePhase, ChangeStatus
from proxyconfig_api.values.duration import Duration

ROUNDS = 2
"""So many rounds of probes have to fail, one after the other."""

UNDER_WAY = Duration(10)
"""For how long IPVS may have datagrams whose answer is under way."""

FAILED = "ProbesFailed"


class Phase(enum.StrEnum):
    ASKING = "Asking"
    APPLYING = "Applying"
    PROBING = "Probing"
    HOLDING = "Holding"
    RETURNING = "Returning"
    COMMITTED = "Committed"
    ROLLED_BACK = "RolledBack"


class Change(Struct, frozen=True):
    """To `new`, from `old`; None: there was nothing before, or nothing that can be gone back to."""

    new: Desired
    old: Desired | None = None
    phase: Phase = Phase.APPLYING
    before: tuple[Answer, ...] = ()
    after: tuple[Answer, ...] = ()
    """Already judged."""
    misses: int = 0
    """Rounds that failed, since the last one that did not."""
    passed_at: float | None = None
    """When the first round since the last failure passed, in monotonic seconds."""
    reason: str = ""
    message: str = ""

    @property
    def in_force(self) -> Desired:
        """What the node is to do now."""
        return self.old if self.old is not None and self.phase in _BEFORE else self.new

    @property
    def safe(self) -> Desired | None:
        """What a node that knows nothing else is to do."""
        return self.new if self.phase is Phase.COMMITTED else self.old

    @property
    def is_open(self) -> bool:
        """Whether the node can go back, and nothing of what was before may be removed."""
        return self.old is not None and self.phase not in (Phase.COMMITTED, Phase.ROLLED_BACK, Phase.RETURNING)

    @property
    def is_settled(self) -> bool:
        """What is in force now stays until there is another order."""
        return self.phase in (Phase.COMMITTED, Phase.ROLLED_BACK)

    @property
    def observed(self) -> Desired | None:
        """What the NodeProxy is to say that the node runs, and of which generation; None: as before. What has failed, and stays as the
        node is not to go back, does run."""
        if self.phase is Phase.ROLLED_BACK and self.old is not None:
            return replace(self.old, generation=self.new.generation, uid=self.new.uid)
        kept = self.phase is Phase.PROBING and self.reason == FAILED
        return self.new if kept or self.phase is Phase.COMMITTED else None


_BEFORE = (Phase.ASKING, Phase.RETURNING, Phase.ROLLED_BACK)
_CHANGED = (Phase.APPLYING, Phase.PROBING, Phase.HOLDING, Phase.RETURNING)


def ordered(change: Change | None, desired: Desired) -> Change:
    """There is an order, for the first time or another one."""
    if desired.give_back:  # such a node changes to nothing else any more
        return Change(replace(desired, spec=_until_kube_proxy_serves((change.in_force if change is not None else desired).spec)))
    if change is None or desired.remove or change.new.remove or change.new.give_back:
        return Change(desired)
    if desired.spec == change.new.spec:
        return replace(change, new=desired) if desired.change.retry == change.new.change.retry else _again(change, desired)
    base = change.new if change.phase is Phase.COMMITTED or change.old is None else change.old
    first = change.old is None and change.phase is not Phase.COMMITTED  # it has not been applied
    if first or desired.spec == base.spec:
        return Change(desired)
    if change.phase in _CHANGED:  # the probes would answer for what is being given up
        return Change(desired, base, Phase.APPLYING, change.before)
    return Change(desired, base, Phase.ASKING)


def _until_kube_proxy_serves(spec: ProxyConfigSpec) -> ProxyConfigSpec:
    """A kube-proxy that starts in nftables mode deletes chains of iptables mode, and all virtual servers of the node (1.36), also
    those of others. Loopback addresses keep their NodePorts; IPVS has its connections for no longer than it takes to lose no datagram."""
    if spec.mode not in (Mode.IPTABLES, Mode.IPVS):
        return spec
    nftables = Nftables(localhost_node_ports=spec_of(spec.mode).localhost_node_ports(spec))
    drain_period = min(spec.drain_period, UNDER_WAY) if spec.mode is Mode.IPVS else spec.drain_period
    return replace(spec.as_mode(Mode.NFTABLES), nftables=nftables, drain_period=drain_period)


def _again(change: Change, desired: Desired) -> Change:
    """Another attempt at the same spec. What failed before is no longer counted; what has not failed goes on."""
    match change.phase:
        case Phase.ROLLED_BACK:
            return Change(desired, change.old, Phase.ASKING)
        case Phase.RETURNING:
            return Change(desired, change.old, Phase.APPLYING, change.before)
        case Phase.APPLYING | Phase.PROBING:
            return replace(change, new=desired, after=(), misses=0, passed_at=None, reason="", message="")
    return replace(change, new=desired)


def resumed(recorded: Change, desired: Desired) -> Change:
    """The first order of a restarted agent, after what an earlier one recorded; nothing is applied by this process yet."""
    match recorded.phase:
        case Phase.COMMITTED if desired.spec == recorded.new.spec and not desired.give_back:
            return Change(desired)
        case Phase.PROBING | Phase.HOLDING:
            recorded = replace(recorded, phase=Phase.APPLYING)
    return ordered(recorded, desired)


def answered(change: Change, answers: Iterable[Answer], at: float) -> Change:
    """A round of probes has ended, `at` monotonic seconds."""
    if change.phase is Phase.ASKING:
        return replace(change, phase=Phase.APPLYING, before=tuple(answers))
    if change.phase not in (Phase.PROBING, Phase.HOLDING):
        return change
    after = (*judged(change.before, answers), *failed_before(change.before))
    wrong = failed(after)
    return _missed(replace(change, after=after), sentence(wrong)) if wrong else _passed(replace(change, after=after), at)


def applied(change: Change, desired: Desired) -> Change:
    """This order is in the kernel."""
    if change.phase is Phase.APPLYING and desired == change.new:
        return replace(change, phase=Phase.COMMITTED if change.old is None else Phase.PROBING, reason="", message="")
    if change.phase is Phase.RETURNING and desired == change.old:
        return replace(change, phase=Phase.ROLLED_BACK, message=f"{change.message}; the node is back at revision {desired.revision}")
    return change


def impossible(change: Change, reason: str, message: str) -> Change:
    """The node cannot do what is in force now; it is tried again."""
    return change if change.is_settled else replace(change, reason=reason, message=message)


def finding_of(change: Change) -> Finding | None:
    """What is wrong, for conditions and an Event. A mode that cannot run is reported with the mode."""
    return Finding(Topic.AGENT, FAILED, change.message) if change.reason == FAILED else None


def status_of(change: Change) -> ChangeStatus | None:
    """What the NodeProxy says of it; nothing of a first installation."""
    if change.old is None:
        return None
    return ChangeStatus(
        revision=change.new.revision,
        phase=_PHASES[change.phase],
        reason=change.reason,
        message=change.message,
        probes=statuses(change.after or change.before if change.phase is not Phase.APPLYING else ()),
    )


_PHASES = {
    Phase.ASKING: ChangePhase.PREPARING,
    Phase.APPLYING: ChangePhase.PREPARING,
    Phase.PROBING: ChangePhase.PROBING,
    Phase.HOLDING: ChangePhase.HOLDING,
    Phase.RETURNING: ChangePhase.PROBING,
    Phase.COMMITTED: ChangePhase.COMMITTED,
    Phase.ROLLED_BACK: ChangePhase.ROLLED_BACK,
}


def _passed(change: Change, at: float) -> Change:
    since = at if change.passed_at is None else change.passed_at
    phase = Phase.COMMITTED if at - since >= _hold_s(change) else Phase.HOLDING
    return replace(change, phase=phase, misses=0, passed_at=since, reason="", message="")


def _missed(change: Change, words: str) -> Change:
    misses = change.misses + 1
    if misses < ROUNDS:
        return replace(change, misses=misses)
    goes_back = change.new.change.on_failure is OnFailure.ROLLBACK
    return replace(
        change,
        phase=Phase.RETURNING if goes_back else Phase.PROBING,
        misses=misses,
        passed_at=None,
        reason=FAILED,
        message=f"after the change to revision {change.new.revision} probes fail that passed before: {words}",
    )


def _hold_s(change: Change) -> float:
    return float(change.new.change.hold_period)
