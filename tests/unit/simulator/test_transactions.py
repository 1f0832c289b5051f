"""No packet meets a half-written Service: between any two transactions each is as it was, or as it will be.

iptables cannot change its tables together, and userspace mode cannot change its process together with its rules. There a flow that is about
to be another may be refused in between, or in iptables mode reach its endpoint without masquerading, never misled. IPVS cannot change the
destinations of a virtual server together: in between some of those before are there with some of those after, and who is served before and
after is served all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.netns.probe import DROP, REJECT
from tests.support.simulator.agents import Agent, Objects
from tests.support.simulator.cases import Flow
from tests.support.simulator.modes import MODES
from tests.support.simulator.oracle import Expected, Oracle
from tests.support.simulator.oracles import HABITS, NO_RULES, heard
from tests.support.simulator.questions import questions, some
from tests.unit.simulator.effort import effort

QUESTIONS = 40
seeds = st.integers(0, 1 << 32)
few = effort(15)


_REFUSED: list[Expected] = [{answer: Fraction(1)} for answer in (DROP, REJECT)]
REFUSALS: Mapping[str, list[Expected]] = {"nftables": [], "iptables": _REFUSED, "ipvs": [], "userspace": _REFUSED}
ONE_BY_ONE = ("ipvs",)
"""Modes in which a flow may have endpoints of before and of after in between."""
IN_PARTS = ("iptables",)
"""Modes whose full sync changes a Service's chains apart from what leads to them: in between, masquerading may be lacking."""


def oracles(agent: Agent, objects: Objects) -> list[Oracle]:
    """Of one state. An external address that is another Service's ClusterIP is masqueraded as soon as, or as long as, that one is there."""
    habits = HABITS[agent.mode.name]
    return [Oracle(objects, agent.config, each) for each in (habits, replace(habits, masquerades_cluster_addresses=False))]


Allowed = Callable[[Expected, list[Expected], str], bool]
"""Whether what is heard is right where so many ends are, in this mode."""


class Watcher:
    """`misled`: the flows that ended otherwise than in one of these states, after a transaction. It raises nothing: a runner goes on after
    whatever fails in a sync."""

    def __init__(self, agent: Agent, states: list[Oracle], flows: list[Flow], is_allowed: Allowed) -> None:
        self._agent, self._is_allowed = agent, is_allowed
        self._allowed = [(flow, [state.expects(flow) for state in states]) for flow in flows]
        self.misled: list[Flow] = []

    def after_commit(self) -> None:
        mode, node = self._agent.mode, self._agent.node
        self.misled += [flow for flow, ends in self._allowed if not self._is_allowed(heard(mode.rules, flow, node), ends, mode.name)]


def changing(found: Expected, ends: list[Expected], mode: str) -> bool:
    """Of a flow that changes, some modes may do in between what is none of its ends."""
    if found in ends:
        return True
    if all(end == ends[0] for end in ends):
        return False
    is_mixed = mode in ONE_BY_ONE and set(found) <= {answer for end in ends for answer in end}
    is_unmasqueraded = mode in IN_PARTS and _endpoints(found) <= _endpoints(*ends)
    return is_mixed or is_unmasqueraded or found in REFUSALS[mode]


def starting(found: Expected, ends: list[Expected], mode: str) -> bool:
    """IPVS serves a ClusterIP from when it is local, and the rest comes with the tables. On a node that served nothing before, a flow may
    be refused, or not be masqueraded yet, but not misled."""
    is_led = mode in ONE_BY_ONE and _endpoints(found) <= _endpoints(*ends) | {DROP, REJECT}
    return is_led or changing(found, ends, mode)


def _endpoints(*ends: Expected) -> set[str]:
    """Without what they see of the client."""
    return {answer.split()[0] for end in ends for answer in end}


def nothing() -> None:
    pass


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds)
def test_at_a_cold_start_services_come_one_after_the_other_and_each_is_whole(mode: str, seed: int) -> None:
    random = Random(seed)
    agent = Agent(mode, random)
    flows = some(random, questions(agent.objects), QUESTIONS)
    states = [Oracle({}, agent.config, NO_RULES), *oracles(agent, agent.objects)]
    watcher = Watcher(agent, states, flows, starting)
    agent.mode.observe(nothing, watcher.after_commit)
    agent.sync()
    assert watcher.misled == []


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds, restarts=st.booleans())
def test_a_change_is_there_as_a_whole_or_not_at_all(mode: str, seed: int, restarts: bool) -> None:
    random = Random(seed)
    agent = Agent(mode, random)
    agent.sync()
    for _ in range(3):
        before = agent.objects
        agent.change_objects()
        if restarts:
            agent.restart()
        flows = some(random, questions(before | agent.objects), QUESTIONS)
        watcher = Watcher(agent, oracles(agent, before) + oracles(agent, agent.objects), flows, changing)
        agent.mode.observe(nothing, watcher.after_commit)
        agent.sync()
        assert watcher.misled == []
