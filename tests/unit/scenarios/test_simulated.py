"""Every case of tests/support/scenarios on the simulator: the fast half of the behaviour table. tests/kernel/traffic sends real packets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from tests.support.scenarios.cases import Case, Round, rounds_of
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.scenario import load
from tests.support.simulator.cases import problems
from tests.support.simulator.modes import MODES, SimulatedPipeline

from proxyconfig_agent.checks.walker.path import Memory

pytestmark = pytest.mark.timeout(600)  # the first test of a mode plays all of its rounds

ROUNDS = {mode: rounds_of(load(), mode=mode) for mode in MODES}
SCENARIOS = sorted({case.scenario for rounds in ROUNDS.values() for round_ in rounds for case in round_.cases})


@dataclass
class Played:
    """What was wrong with the cases of each scenario in one mode."""

    problems: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest) -> Played:
    """All rounds of a mode, one after the other, as with real packets: what was there before is changed, not made anew."""
    result = Played()
    for config, rounds in itertools.groupby(ROUNDS[request.param], key=lambda round_: round_.config):
        for case, problem in _play(request.param, config, list(rounds)):
            result.problems.setdefault(case.scenario, []).append(f"{case.id}: {problem}")
    return result


def _play(mode_name: str, config: str, rounds: list[Round]) -> Iterator[tuple[Case, str]]:
    mode, memory = MODES[mode_name](), Memory()
    agent = SimulatedPipeline(mode, CONFIGS[config])
    for round_ in rounds:
        agent.apply(round_.objects)
        for case in round_.cases:
            yield from ((case, problem) for problem in problems(case, case.expectation.result, mode.rules, mode.node, memory) if problem)


@pytest.mark.parametrize("played", MODES, indirect=True)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_traffic_of_a_scenario(played: Played, scenario: str) -> None:
    found = played.problems.get(scenario, [])
    assert not found, "\n".join(found)
