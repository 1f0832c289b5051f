"""Objects that are wrong in any way harm nobody but themselves."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scenarios.scenario import Object
from tests.unit.agent.input.mutations import REAL, mutated
from tests.unit.agent.input.pipeline import Pipeline

from proxyconfig_agent.cluster import Programmed

KINDS = ("Service", "EndpointSlice")
NEIGHBOURS: list[Object] = [
    {
        "kind": "Service",
        "metadata": {"name": f"good-{number}", "namespace": "neighbours"},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": f"10.97.0.{number}",
            "clusterIPs": [f"10.97.0.{number}", f"fd00:10:97::{number}"],
            "externalIPs": [f"203.0.113.{number}"],
            "ports": [{"name": "web", "port": 80, "nodePort": 31000 + number}],
        },
    }
    for number in range(1, 4)
] + [
    {
        "kind": "EndpointSlice",
        "metadata": {"name": f"good-{number}", "namespace": "neighbours", "labels": {"kubernetes.io/service-name": f"good-{number}"}},
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": 8080}],
        "endpoints": [{"addresses": [f"10.244.9.{number}"]}],
    }
    for number in range(1, 4)
]


@st.composite
def wrong(draw: st.DrawFn) -> tuple[str, Object]:
    kind = draw(st.sampled_from(KINDS))
    return kind, draw(mutated(REAL[kind]))


def neighbours(pipeline: Pipeline) -> dict[str, Programmed]:
    return {str(name): frontends for name, frontends in pipeline.selected().items() if name.namespace == "neighbours"}


@settings(max_examples=300, deadline=None)
@given(st.lists(wrong(), min_size=1, max_size=6))
def test_whatever_is_wrong_with_objects_their_neighbours_are_served_as_before(objects: list[tuple[str, Object]]) -> None:
    pipeline = Pipeline()
    pipeline.put(NEIGHBOURS)
    before = neighbours(pipeline)
    held = {family: len(table.kernel.elements) for family, table in pipeline.tables.items()}
    assert all(held.values())
    for kind, one in objects:
        pipeline.take(one, kind)
        pipeline.sync()
    assert neighbours(pipeline) == before
