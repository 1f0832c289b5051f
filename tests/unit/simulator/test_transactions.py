"""No packet meets a half-written Service: between any two transactions each is as it was, or as it will be.

iptables cannot change its tables together. There a flow that is about to be another may be refused in between, never misled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.netns.probe import DROP, REJECT
from tests.simulator.agents import Agent
from tests.simulator.cases import Flow
from tests.simulator.modes import MODES
from tests.simulator.oracle import Expected, Oracle
from tests.simulator.oracles import HABITS, NO_RULES, heard
from tests.simulator.questions import questions, some

QUESTIONS = 40
seeds = st.integers(0, 1 << 32)
few = settings(max_examples=15, deadline=None)


REFUSALS: Mapping[str, list[Expected]] = {"nftables": [], "iptables": [{answer: Fraction(1)} for answer in (DROP, REJECT)]}


def watching(agent: Agent, before: Oracle, after: Oracle, flows: list[Flow]) -> Callable[[], None]:
    """Fails if a flow ends otherwise than one of these says."""
    allowed = []
    for flow in flows:
        ends = [before.expects(flow), after.expects(flow)]
        allowed.append((flow, ends if ends[0] == ends[1] else ends + REFUSALS[agent.mode.name]))

    def after_commit() -> None:
        for flow, expected in allowed:
            assert heard(agent.mode.rules, flow, agent.node) in expected, flow

    return after_commit


def nothing() -> None:
    pass


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds)
def test_at_a_cold_start_services_come_one_after_the_other_and_each_is_whole(mode: str, seed: int) -> None:
    random = Random(seed)
    agent = Agent(mode, random)
    flows = some(random, questions(agent.objects), QUESTIONS)
    without, served = Oracle({}, agent.config, NO_RULES), Oracle(agent.objects, agent.config, HABITS[mode])
    agent.mode.observe(nothing, watching(agent, without, served, flows))
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
        was, will_be = (Oracle(objects, agent.config, HABITS[mode]) for objects in (before, agent.objects))
        agent.mode.observe(nothing, watching(agent, was, will_be, flows))
        agent.sync()
