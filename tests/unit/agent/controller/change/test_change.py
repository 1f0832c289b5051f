"""A change of a node as a state machine: the table of what follows what, and what holds in every history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from proxyconfig_agent.checks.probes.model import Answer
from proxyconfig_agent.controller.change.change import (
    FAILED,
    Change,
    Phase,
    answered,
    applied,
    finding_of,
    impossible,
    ordered,
    resumed,
    status_of,
)
from proxyconfig_agent.controller.change.pace import ASK_S, FAILED_ASK_S, Pace, asks_the_same, pace_of
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.objects.nodeproxy import NodeChange
from proxyconfig_api.spec.rollout import OnFailure
from proxyconfig_api.spec.sections import Mode, Nftables, ProxyConfigSpec
from proxyconfig_api.status.rollout import ChangePhase, ProbeResult
from proxyconfig_api.values.duration import Duration

ROLLBACK = NodeChange(hold_period=Duration(10), on_failure=OnFailure.ROLLBACK)
STEP_S = 2.0
"""Between two events."""
PAUSE = NodeChange(hold_period=Duration(10), on_failure=OnFailure.PAUSE)


def order(mode: Mode, number: int, how: NodeChange = ROLLBACK) -> Desired:
    return Desired(ProxyConfigSpec(mode=mode), number, f"r-{mode}", uid="u", change=how)


A, B, C = order(Mode.NFTABLES, 1), order(Mode.IPTABLES, 2), order(Mode.USERSPACE, 3)
GOOD, BAD = (Answer("dns/UDP", ProbeResult.PASSED),), (Answer("dns/UDP", ProbeResult.FAILED, "silent"),)
FIRST, SERVING = Change(A), Change(A, phase=Phase.COMMITTED)
ASKING = Change(B, A, Phase.ASKING)
APPLYING = Change(B, A, Phase.APPLYING, GOOD)
PROBING = Change(B, A, Phase.PROBING, GOOD)
HOLDING = Change(B, A, Phase.HOLDING, GOOD, GOOD, passed_at=100.0)
COMMITTED = Change(B, A, Phase.COMMITTED, GOOD, GOOD, passed_at=100.0)
WORDS = "after the change to revision r-iptables probes fail that passed before: dns/UDP: silent"
RETURNING = Change(B, A, Phase.RETURNING, GOOD, BAD, misses=2, reason=FAILED, message=WORDS)
BACK = replace(RETURNING, phase=Phase.ROLLED_BACK, message=f"{WORDS}; the node is back at revision r-nftables")
KEPT = replace(RETURNING, phase=Phase.PROBING)
PAUSED = order(Mode.IPTABLES, 2, PAUSE)
AGAIN = order(Mode.IPTABLES, 4, NodeChange(hold_period=Duration(10), on_failure=OnFailure.ROLLBACK, retry="again"))
IPVS = order(Mode.IPVS, 4)
LEAVING = replace(B, generation=5, give_back=True)
GIVING = replace(LEAVING, spec=replace(B.spec.as_mode(Mode.NFTABLES), nftables=Nftables(localhost_node_ports=True)))
IPVS_GIVING = replace(IPVS, give_back=True, spec=replace(IPVS.spec.as_mode(Mode.NFTABLES), nftables=Nftables(), drain_period=Duration(10)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ordered(None, A), FIRST),
        (applied(FIRST, A), SERVING),
        (ordered(SERVING, B), ASKING),
        (answered(ASKING, GOOD, 90.0), APPLYING),
        (applied(APPLYING, B), PROBING),
        (answered(PROBING, GOOD, 100.0), HOLDING),
        (answered(HOLDING, GOOD, 109.0), HOLDING),
        (answered(HOLDING, GOOD, 110.0), COMMITTED),
        (answered(PROBING, BAD, 100.0), replace(PROBING, after=BAD, misses=1)),
        (answered(replace(PROBING, after=BAD, misses=1), GOOD, 100.0), HOLDING),
        (answered(replace(PROBING, after=BAD, misses=1), BAD, 100.0), RETURNING),
        (answered(replace(HOLDING, after=BAD, misses=1), BAD, 105.0), RETURNING),
        (applied(RETURNING, A), BACK),
        (ordered(COMMITTED, C), Change(C, B, Phase.ASKING)),
        (ordered(BACK, C), Change(C, A, Phase.ASKING)),
        (ordered(BACK, replace(A, generation=4)), Change(replace(A, generation=4))),
        (ordered(BACK, replace(B, generation=4)), replace(BACK, new=replace(B, generation=4))),
        (ordered(BACK, AGAIN), Change(AGAIN, A, Phase.ASKING)),
        (ordered(RETURNING, AGAIN), Change(AGAIN, A, Phase.APPLYING, GOOD)),
        (ordered(replace(KEPT, new=PAUSED), AGAIN), replace(PROBING, new=AGAIN)),
        (ordered(replace(APPLYING, reason="ModeUnsupported", message="no"), AGAIN), replace(APPLYING, new=AGAIN)),
        (ordered(HOLDING, AGAIN), replace(HOLDING, new=AGAIN)),
        (ordered(COMMITTED, AGAIN), replace(COMMITTED, new=AGAIN)),
        (ordered(HOLDING, C), Change(C, A, Phase.APPLYING, GOOD)),
        (ordered(ASKING, C), Change(C, A, Phase.ASKING)),
        (ordered(RETURNING, C), Change(C, A, Phase.APPLYING, GOOD)),
        (ordered(HOLDING, A), Change(A)),
        (ordered(FIRST, B), Change(B)),
        (ordered(HOLDING, replace(A, remove=True)), Change(replace(A, remove=True))),
        (ordered(SERVING, LEAVING), Change(replace(LEAVING, spec=A.spec))),
        (ordered(HOLDING, LEAVING), Change(GIVING)),
        (ordered(BACK, LEAVING), Change(replace(LEAVING, spec=A.spec))),
        (ordered(Change(GIVING), replace(LEAVING, generation=6)), Change(replace(GIVING, generation=6))),
        (ordered(Change(LEAVING, phase=Phase.COMMITTED), C), Change(C)),
        (ordered(Change(LEAVING), replace(B, generation=6)), Change(replace(B, generation=6))),
        (ordered(Change(LEAVING), replace(B, remove=True)), Change(replace(B, remove=True))),
        (ordered(Change(IPVS, phase=Phase.COMMITTED), LEAVING), Change(replace(LEAVING, spec=IPVS_GIVING.spec))),
        (ordered(None, replace(IPVS, give_back=True)), Change(IPVS_GIVING)),
        (resumed(Change(B, phase=Phase.COMMITTED), LEAVING), Change(GIVING)),
        (resumed(SERVING, LEAVING), Change(replace(LEAVING, spec=A.spec))),
        (impossible(APPLYING, "ModeUnsupported", "no"), replace(APPLYING, reason="ModeUnsupported", message="no")),
        (applied(replace(APPLYING, reason="ModeUnsupported", message="no"), B), PROBING),
        (applied(APPLYING, A), APPLYING),
        (answered(APPLYING, BAD, 1.0), APPLYING),
    ],
)
def test_what_follows_what(before: Change, after: Change) -> None:
    assert before == after


def test_what_failed_before_the_change_gates_nothing() -> None:
    change = applied(answered(ASKING, BAD, 0.0), B)
    after = answered(change, (), 100.0)
    assert after.phase is Phase.HOLDING
    assert [each.result for each in after.after] == [ProbeResult.FAILED_BEFORE]


def test_a_node_that_is_not_to_go_back_keeps_what_failed_and_reports_it_and_recovers() -> None:
    paused = replace(B, change=PAUSE)
    change = replace(PROBING, new=paused)
    for _ in range(2):
        change = answered(change, BAD, 100.0)
    assert (change.phase, change.reason, change.in_force, change.observed) == (Phase.PROBING, FAILED, paused, paused)
    assert pace_of(change) == Pace(FAILED_ASK_S, 1)
    change = answered(change, GOOD, 200.0)
    assert (change.phase, change.reason, change.observed) == (Phase.HOLDING, "", None)


def test_a_change_without_a_hold_period_is_over_with_the_first_round_that_passes() -> None:
    change = answered(replace(PROBING, new=replace(B, change=NodeChange())), GOOD, 100.0)
    assert change.phase is Phase.COMMITTED


@pytest.mark.parametrize(
    ("change", "pace"),
    [
        (FIRST, None),
        (ASKING, Pace(FAILED_ASK_S, 1)),
        (APPLYING, None),
        (PROBING, Pace(ASK_S, 2)),
        (HOLDING, Pace(ASK_S, 2)),
        (KEPT, Pace(FAILED_ASK_S, 1)),
        (RETURNING, None),
        (COMMITTED, None),
        (BACK, None),
    ],
)
def test_while_a_node_may_go_back_rounds_overlap(change: Change, pace: Pace | None) -> None:
    assert pace_of(change) == pace


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (HOLDING, True),
        (replace(PROBING, misses=1), True),
        (ASKING, False),
        (replace(PROBING, new=C), False),
        (replace(PROBING, old=C), False),
    ],
)
def test_answers_tell_of_the_rules_that_they_were_asked_for(change: Change, same: bool) -> None:
    assert asks_the_same(change, PROBING) is same


@pytest.mark.parametrize(
    ("change", "in_force", "safe", "observed", "is_open"),
    [
        (FIRST, A, None, None, False),
        (SERVING, A, A, A, False),
        (ASKING, A, A, None, True),
        (APPLYING, B, A, None, True),
        (HOLDING, B, A, None, True),
        (COMMITTED, B, B, B, False),
        (RETURNING, A, A, None, False),
        (BACK, A, A, replace(A, generation=2), False),
    ],
)
def test_what_is_in_force_and_what_the_status_says(
    change: Change, in_force: Desired, safe: Desired | None, observed: Desired | None, is_open: bool
) -> None:
    assert (change.in_force, change.safe, change.observed, change.is_open) == (in_force, safe, observed, is_open)


@pytest.mark.parametrize(
    ("change", "phase"),
    [
        (ASKING, ChangePhase.PREPARING),
        (APPLYING, ChangePhase.PREPARING),
        (PROBING, ChangePhase.PROBING),
        (HOLDING, ChangePhase.HOLDING),
        (RETURNING, ChangePhase.PROBING),
        (COMMITTED, ChangePhase.COMMITTED),
        (BACK, ChangePhase.ROLLED_BACK),
    ],
)
def test_the_status_names_revision_phase_and_probes(change: Change, phase: ChangePhase) -> None:
    status = status_of(change)
    assert status is not None
    assert (status.revision, status.phase, status.reason, status.message) == ("r-iptables", phase, change.reason, change.message)
    assert status_of(SERVING) is None
    finding = finding_of(change)
    assert (finding.message if finding else "") == change.message


@pytest.mark.parametrize(
    ("recorded", "now", "expected"),
    [
        (SERVING, A, Change(A)),
        (SERVING, B, ASKING),
        (COMMITTED, B, Change(B)),
        (ASKING, B, ASKING),
        (HOLDING, B, APPLYING),
        (PROBING, C, Change(C, A, Phase.APPLYING, GOOD)),
        (HOLDING, A, Change(A)),
        (RETURNING, B, RETURNING),
        (BACK, B, BACK),
        (BACK, AGAIN, Change(AGAIN, A, Phase.ASKING)),
        (BACK, C, Change(C, A, Phase.ASKING)),
    ],
)
def test_a_restarted_agent_goes_on_or_goes_back(recorded: Change, now: Desired, expected: Change) -> None:
    found = resumed(recorded, now)
    assert replace(found, after=(), passed_at=None, misses=0) == replace(expected, after=(), passed_at=None, misses=0)


events = st.one_of(
    st.tuples(st.just("ordered"), st.sampled_from((A, B, C, AGAIN))),
    st.tuples(st.just("answered"), st.sampled_from((GOOD, BAD, ()))),
    st.tuples(st.just("applied"), st.just(None)),
    st.tuples(st.just("impossible"), st.just(None)),
    st.tuples(st.just("restarted"), st.just(None)),
)


@given(st.lists(events, max_size=40))
def test_in_every_history_a_node_has_a_way_back_until_it_needs_none(history: list[tuple[str, object]]) -> None:
    change, newest, at = ordered(None, A), A, 0.0
    served: list[ProxyConfigSpec] = []
    for event, value in history:
        at += STEP_S
        if event == "ordered" and isinstance(value, Desired):
            newest = value
            change = ordered(change, value)
        elif event == "answered" and isinstance(value, tuple):
            change = answered(change, value, at)
        elif event == "applied":
            change = applied(change, change.in_force)
        elif event == "restarted":
            change = resumed(change, newest)
        else:
            change = impossible(change, "ModeUnsupported", "no")
        if change.is_settled:
            served.append(change.in_force.spec)
        assert change.new.spec == newest.spec
        # What is safe was served for good before, and an open change can always go back there.
        assert change.safe is None or change.safe.spec in served
        assert not change.is_open or change.old is not None
        assert change.old is None or change.old.spec != change.new.spec
        # Whatever happened, there is something to wait for, or the change is over.
        assert change.is_settled or pace_of(change) is not None or change.phase in (Phase.APPLYING, Phase.RETURNING)


@given(st.lists(events, max_size=20))
def test_a_change_always_ends_when_everything_works(history: list[tuple[str, object]]) -> None:
    change, at = ordered(None, A), 0.0
    for event, value in history:
        if event == "ordered" and isinstance(value, Desired):
            change = ordered(change, value)
        elif event == "answered" and isinstance(value, tuple):
            change = answered(change, value, at)
        elif event == "applied":
            change = applied(change, change.in_force)
    for _ in range(20):
        at += STEP_S
        change = answered(applied(change, change.in_force), GOOD if change.phase is Phase.ASKING else (), at)
    assert change.is_settled
