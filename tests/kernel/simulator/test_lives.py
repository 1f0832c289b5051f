"""On a real kernel, too, nothing is left of what a node went through: another agent that knows only the present Services has nothing to do.

`AGREEMENT_S` and `AGREEMENT_SEED` as in `test_agreement`; half the time.
"""

from __future__ import annotations

import contextlib
import time
from random import Random

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.simulator.test_agreement import FIRST_SEED, LASTING_S
from tests.kernel.traffic.inprocess import DATAPLANES, INTERVALS, Pipeline, dataplane, empty
from tests.support.netns.topology import Topology
from tests.support.scenarios.configs import CONFIGS
from tests.support.simulator.clusters import Clusters

from proxyconfig_agent.state.batch import everything
from proxyconfig_agent.state.programmed import Programmed

CHANGES = 5

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(LASTING_S * 2 + 120)]


@pytest.mark.parametrize("mode", DATAPLANES)
def test_after_any_changes_another_agent_has_nothing_to_do(mode: str, world: Topology) -> None:
    ends, seed = time.monotonic() + LASTING_S / 2, FIRST_SEED
    while time.monotonic() < ends:
        audit, first_sync = _left_to_do(mode, Random(seed), world)
        assert audit == 0, f"AGREEMENT_SEED={seed}: an audit had to do {audit} operations"
        # In userspace mode another agent has another proxy process, which has to learn everything.
        assert first_sync == 0 or mode == "userspace", f"AGREEMENT_SEED={seed}: another agent had to do {first_sync} operations"
        seed += 1


def _left_to_do(mode: str, random: Random, world: Topology) -> tuple[int, int]:
    """How many operations an audit takes after a life, and the first sync of another agent."""
    clusters = Clusters(random)
    objects, config = clusters.cluster(), CONFIGS[random.choice(sorted(CONFIGS))]
    with dataplane(world, mode) as made:
        pipeline = Pipeline(world, made, config, mode)
        for _ in range(CHANGES):
            pipeline.apply(objects)
            if random.random() < 0.4:
                config = CONFIGS[random.choice(sorted(CONFIGS))]
                pipeline.runner.configure(pipeline.settings(config), INTERVALS)
            else:
                objects = clusters.changed(objects)
        pipeline.apply(objects)
        audit = made.resync(pipeline.settings(config), everything(pipeline.cluster.view(), Programmed()).ports()).operations
        with contextlib.closing(Entered(world.node, DATAPLANES[mode])) as another:
            successor = Pipeline(world, another, config, mode)
            successor.apply(objects)
    empty(world.node)
    return audit, successor.syncs[-1].operations
