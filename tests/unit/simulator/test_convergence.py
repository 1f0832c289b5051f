"""However a node came to where it is, its kernel is the same: changes, restarts, refusals and deaths in between leave no trace."""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.simulator.agents import Agent
from tests.support.simulator.modes import MODES
from tests.unit.simulator.effort import effort

seeds = st.integers(0, 1 << 32)
few = effort(20)


class DiedError(Exception):
    """The process is gone."""


def nothing() -> None:
    pass


def failing(random: Random, error: Exception) -> Callable[[], None]:
    """Lets some transactions through, then fails a few of those that follow."""
    lives, failures = random.choice((0, 0, 1, 2, 5, 9)), random.randint(1, 3)

    def before_commit() -> None:
        nonlocal lives, failures
        lives -= 1
        if lives < 0 < failures and random.random() < 0.7:
            failures -= 1
            raise error

    return before_commit


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds, steps=st.integers(1, 6))
def test_any_changes_end_in_the_same_state_as_starting_with_the_last(mode: str, seed: int, steps: int) -> None:
    random = Random(seed)
    agent = Agent(mode, random)
    agent.sync()
    for _ in range(steps):
        agent.change()
        if random.random() < 0.7:
            agent.sync()
    agent.sync()
    assert agent.mode.state() == agent.fresh().state()


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds)
def test_a_kernel_that_has_everything_is_left_alone(mode: str, seed: int) -> None:
    agent = Agent(mode, Random(seed))
    agent.sync()
    agent.change()
    agent.sync()
    assert agent.audit() == 0
    agent.restart()
    assert agent.audit() == 0


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds)
def test_a_node_that_moves_to_another_zone_is_as_if_it_had_always_been_there(mode: str, seed: int) -> None:
    agent = Agent(mode, Random(seed))
    for zone in ("zone-b", "", "zone-a"):
        agent.sync()
        agent.move(zone)
        agent.sync()
        assert agent.mode.state() == agent.fresh().state()


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds, number=st.sampled_from([errno.EBUSY, errno.ENOMEM, errno.ENOENT, errno.EEXIST]))
def test_what_the_kernel_refused_is_tried_again(mode: str, seed: int, number: int) -> None:
    random = Random(seed)
    agent = Agent(mode, random)
    for _ in range(3):
        agent.mode.observe(failing(random, agent.mode.refusal(number)), nothing)
        agent.change()
        agent.sync()
    agent.mode.observe(nothing, nothing)
    agent.change_objects()
    agent.sync()
    if not agent.complete:
        agent.audit()
    assert agent.mode.state() == agent.fresh().state()
    assert agent.audit() == 0


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds)
def test_an_agent_that_dies_between_transactions_is_made_good_by_the_next(mode: str, seed: int) -> None:
    random = Random(seed)
    agent = Agent(mode, random)
    for _ in range(4):
        agent.mode.observe(failing(random, DiedError()), nothing)
        try:
            agent.change()
            agent.sync()
        except DiedError:
            agent.restart()
    agent.mode.observe(nothing, nothing)
    agent.sync()
    assert agent.mode.state() == agent.fresh().state()


@pytest.mark.parametrize("mode", MODES)
@few
@given(seed=seeds, times=st.integers(1, 4))
def test_whatever_somebody_else_changed_is_noticed_and_repaired(mode: str, seed: int, times: int) -> None:
    random = Random(seed)
    agent = Agent(mode, random)
    agent.sync()
    for _ in range(times):
        agent.mode.damage(random)
    agent.sync()
    assert agent.mode.state() == agent.fresh().state()
    assert agent.audit() == 0
