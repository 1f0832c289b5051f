"""Objects of the API for tests that change a cluster step by step, written as in tests/support/scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.scenarios.objects import Allocator, Key, Story
from tests.support.scenarios.scenario import Object, Scenario, Step

Objects = dict[Key, Object]


def story(*steps: tuple[Object, ...]) -> Iterator[Objects]:
    """The objects after each step; what a step has is merged over what was there."""
    written = tuple(Step(f"step {number}", step, (), ()) for number, step in enumerate(steps))
    told = Story(Scenario("live", "by hand", "default", written), Allocator())
    for _ in steps:
        told.advance()
        yield told.objects()


def service(**spec: Any) -> Object:
    """The Service `web`, with one port for all protocols."""
    given = {key: value for key, value in spec.items() if key != "ingress"}
    balancer = [{"ip": word} for word in spec.get("ingress", ())]
    ports = [{"name": "web", "port": 80, "protocol": "each"}]
    return {
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"ports": ports, **given},
        "status": {"loadBalancer": {"ingress": balancer}},
    }


def slices(*endpoints: Object) -> Object:
    """The EndpointSlices of `web`."""
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "web", "port": 8080, "protocol": "each"}],
        "endpoints": list(endpoints),
    }


def endpoint(place: str, *, ready: bool = True, terminating: bool = False, **more: Any) -> Object:
    """An endpoint that serves, ready or not."""
    return {"addresses": [place], "conditions": {"ready": ready, "serving": ready or terminating, "terminating": terminating}, **more}


def the_service(objects: Objects) -> Object:
    return objects["Service", "live", "web"]
