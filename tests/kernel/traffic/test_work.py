"""How much is sent to the kernel for a change (rows 84, 98, 99, 101, 102 and 108): in proportion to the change, and nothing for nothing."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator

import pytest
from tests.kernel.traffic.clusterobjects import many_services
from tests.kernel.traffic.inprocess import DATAPLANES, Pipeline, dataplane
from tests.support.netns.topology import Topology
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object

from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.sync.result import SyncReason

pytestmark = pytest.mark.kernel

A_FEW = 16
"""Elements that one Service port may need, in both families together."""

Objects = dict[Key, Object]


@pytest.fixture(params=[mode for mode in ("nftables", "ipvs", "userspace") if mode in DATAPLANES])
def pipeline(request: pytest.FixtureRequest, world: Topology) -> Iterator[Pipeline]:
    """Our pipeline on an empty node, in the modes that write to sets."""
    with dataplane(world, request.param) as made:
        yield Pipeline(world, made, CONFIGS["default"], request.param)


def operations_after_restart(world: Topology, objects: Objects) -> int:
    """What a pipeline sends that knows nothing, on the kernel as the one before left it."""
    with contextlib.closing(world.node.call(Nftables)) as made:
        return operations_of(Pipeline(world, made, CONFIGS["default"]), objects)


def operations_of(pipeline: Pipeline, objects: Objects) -> int:
    pipeline.put(objects)
    sync = pipeline.sync()
    return sync.operations if sync else 0


def test_a_new_service_costs_the_same_however_many_there_are(pipeline: Pipeline) -> None:
    pipeline.apply(many_services(10))
    beside_10 = operations_of(pipeline, many_services(11))
    pipeline.apply(many_services(300))
    beside_300 = operations_of(pipeline, many_services(301))

    assert beside_10 == beside_300 <= A_FEW


def test_a_deleted_service_costs_the_same_however_many_there_are(pipeline: Pipeline) -> None:
    pipeline.apply(many_services(11))
    beside_10 = operations_of(pipeline, many_services(10))
    pipeline.apply(many_services(301))
    beside_300 = operations_of(pipeline, many_services(300))

    assert beside_10 == beside_300 <= A_FEW


def test_an_endpoint_change_touches_its_service_alone(pipeline: Pipeline) -> None:
    objects = many_services(300)
    pipeline.apply(objects)
    changed = copy.deepcopy(objects)
    changed["EndpointSlice", "many", "web-7-4"]["endpoints"][0]["addresses"] = ["10.244.1.99"]

    assert 0 < operations_of(pipeline, changed) <= A_FEW


def test_nothing_is_sent_for_nothing(pipeline: Pipeline) -> None:
    objects = many_services(50)
    pipeline.apply(objects)
    annotated = copy.deepcopy(objects)
    for one in annotated.values():
        one["metadata"]["annotations"] = {"seen": "yes"}
        one["metadata"]["resourceVersion"] = "2"

    pipeline.put(annotated)
    assert pipeline.sync() is None
    pipeline.runner.resync(SyncReason.PERIOD)
    sync = pipeline.sync()
    assert sync
    assert sync.full
    assert sync.operations == 0


@pytest.mark.parametrize("pipeline", ["nftables"], indirect=True)
def test_a_restart_sends_only_differences(pipeline: Pipeline, world: Topology) -> None:
    objects = many_services(50)
    pipeline.apply(objects)

    assert operations_after_restart(world, objects) == 0
    assert 0 < operations_after_restart(world, many_services(51)) <= A_FEW
    assert 0 < operations_after_restart(world, many_services(50)) <= A_FEW


def test_rules_and_chains_do_not_grow_with_services(pipeline: Pipeline, world: Topology) -> None:
    pipeline.apply(many_services(2))
    few = _rules_and_chains(world)
    pipeline.apply(many_services(300))

    assert _rules_and_chains(world) == few


def _rules_and_chains(world: Topology) -> tuple[int, int]:
    listed = json.loads(world.node.run("nft", "-j", "-t", "list", "ruleset"))["nftables"]
    return sum("rule" in one for one in listed), sum("chain" in one for one in listed)
