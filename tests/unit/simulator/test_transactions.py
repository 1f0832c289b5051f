"""No packet meets a half-written Service: between any two transactions each is as it was, or as it will be.

iptables cannot change its tables together, and userspace mode cannot change its process together with its rules. There a flow that is about
to be another may be refused in between, never misled. IPVS cannot change the destinations of a virtual server together: in between some of
those before are there with some of those after, and who is served before and after is served all the time.
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


def oracles(agent: Agent, objects: Objects) -> list[Oracle]:
    """Of one state. An external address that is another Service's ClusterIP is masqueraded as soon as, or as long as, that one is there."""
    habits = HABITS[agent.mode.name]
    return [Oracle(objects, agent.config, each) for each in (habits, replace(habits, masquerades_cluster_addresses=False))]


def watching(agent: Agent, states: list[Oracle], flows: list[Flow]) -> Callable[[], None]:
    """Fails if a flow ends otherwise than in one of these states."""
    allowed = []
    for flow in flows:
        ends = [state.expects(flow) for state in states]
        changes = any(end != ends[0] for end in ends)
        allowed.append((flow, ends + REFUSALS[agent.mode.name] if changes else ends))

    def after_commit() -> None:
        for flow, expected in allowed:
            found = heard(agent.mode.rules, flow, agent.node)
            assert found in expected or (agent.mode.name in ONE_BY_ONE and _is_mixed(found, expected)), flow

    return after_commit


def _is_mixed(found: Expected, expected: list[Expected]) -> bool:
    """Whether everything that is heard can be heard before or after, of a flow that changes."""
    changes = any(end != expected[0] for end in expected)
    return changes and set(found) <= {answer for end in expected for answer in end}


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
    agent.mode.observe(nothing, watching(agent, states, flows))
    agent.sync()


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
        agent.mode.observe(nothing, watching(agent, oracles(agent, before) + oracles(agent, agent.objects), flows))
        agent.sync()
