"""The rules that a mode writes for any cluster do what kube-proxy's decision table says, worked out a second time from the objects."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.scenarios.configs import CONFIGS
from tests.support.simulator.clusters import Clusters
from tests.support.simulator.modes import MODES, SimulatedPipeline
from tests.support.simulator.oracle import Oracle
from tests.support.simulator.oracles import HABITS, heard
from tests.support.simulator.questions import questions, some
from tests.unit.simulator.effort import effort

QUESTIONS = 150


@pytest.mark.parametrize("mode_name", MODES)
@effort(25)
@given(seed=st.integers(0, 1 << 32), config=st.sampled_from(sorted(CONFIGS)))
def test_simulated_packets_go_where_the_decision_table_says(mode_name: str, seed: int, config: str) -> None:
    random, mode = Random(seed), MODES[mode_name]()
    objects = Clusters(random).cluster()
    SimulatedPipeline(mode, CONFIGS[config]).apply(objects)
    oracle = Oracle(objects, CONFIGS[config], HABITS[mode_name])
    for flow in some(random, questions(objects), QUESTIONS):
        assert heard(mode.rules, flow, mode.node) == oracle.expects(flow), flow
