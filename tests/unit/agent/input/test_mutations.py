"""Objects that are wrong in any way harm nobody but themselves."""

from __future__ import annotations

import copy
import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.scenarios.scenario import Object
from tests.unit.agent.input.mutations import REAL, WORDS, mutated
from tests.unit.agent.input.pipeline import Pipeline

from proxyconfig_agent.state.programmed import ServicePorts

_WORDS = r'( [\w./:,>?\[\]-]+| "[\w ./:>?\[\]-]+"|( 1))*'
IPTABLES = re.compile(rf"|COMMIT|\*[a-z]+|:KUBE-[A-Z0-9-]+ - \[0:0\]|-[AIDX] KUBE-[A-Z0-9-]+{_WORDS}", re.ASCII)
"""What iptables-restore may be given: every text of others is a word, or between quotes."""

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


def neighbours(pipeline: Pipeline) -> dict[str, ServicePorts]:
    return {str(name): frontends for name, frontends in pipeline.selected().items() if name.namespace == "neighbours"}


@settings(max_examples=400)
@given(st.integers(0, 1 << 32))
def test_whatever_is_wrong_with_objects_their_neighbours_are_served_as_before(seed: int) -> None:
    pipeline, random = Pipeline(), Random(seed)
    pipeline.put(NEIGHBOURS)
    before = neighbours(pipeline)
    held = {family: len(table.kernel.elements) for family, table in pipeline.tables.items()}
    assert all(held.values())
    for _ in range(random.randint(1, 6)):
        kind = random.choice(KINDS)
        pipeline.take(mutated(REAL[kind], random), kind)
        pipeline.sync()
    assert neighbours(pipeline) == before
    for table in pipeline.tables.values():
        assert [line for line in table.iptables.decode().split("\n") if not IPTABLES.fullmatch(line)] == []


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("place", ["name", "namespace", "port"])
def test_no_text_of_a_name_becomes_anything_else(word: str, place: str) -> None:
    """The API server allows none of these; a hostile stream may have them."""
    service, piece = copy.deepcopy(NEIGHBOURS[0]), copy.deepcopy(NEIGHBOURS[3])
    for one in (service, piece):
        if place == "namespace":
            one["metadata"]["namespace"] = word
    if place == "name":
        service["metadata"]["name"] = piece["metadata"]["labels"]["kubernetes.io/service-name"] = word
    if place == "port":
        service["spec"]["ports"][0]["name"] = piece["ports"][0]["name"] = word
    pipeline = Pipeline()
    pipeline.put([service, piece])
    for table in pipeline.tables.values():
        assert [line for line in table.iptables.decode().split("\n") if not IPTABLES.fullmatch(line)] == []
