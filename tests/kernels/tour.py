"""`make ipvs`: what `make demo` shows, in ipvs mode on a kernel that has IPVS, as far as one node without a cluster carries it.

The node, its pods and a client outside are network namespaces; the agent's pipeline programs the node. It fails if anything is not as it
says.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from tests.cluster.progress import say
from tests.kernel.traffic.inprocess import Pipeline, dataplane
from tests.kernel.traffic.stories import Objects, endpoint, service, slices, story, the_service
from tests.support.netns import ipvs
from tests.support.netns.peers import Answers, Prober, echoing, probing
from tests.support.netns.topology import NODE, PODS, PODS2, Topology, topology
from tests.support.scenarios.configs import CONFIGS

from proxyconfig_agent.dataplane.port import ModeInstance

REQUESTS = 30
ALL, LEFT = ("near1", "near2", "far1"), ("near2", "far1")


@dataclass(frozen=True, slots=True)
class Stage:
    """The node with its clients, and the agent's pipeline on it."""

    world: Topology
    clients: Mapping[str, Prober]
    mode: ModeInstance
    pipeline: Pipeline

    def show(self, *words: str) -> str:
        """Print a command, run it on the node, print what it says and return that."""
        print(f"\nnode$ {' '.join(words)}")
        told = self.world.node.run(*words)
        print(told, end="", flush=True)
        return told

    def ask(self, client: str, address: str, port: int, expected: tuple[str, ...]) -> None:
        """Send requests, and print which pods answered. Raises AssertionError if one was lost, or a pod took no part."""
        flow = {"address": address, "port": port, "protocol": "tcp", "patience_s": 30}
        answers = self.clients[client].ask([flow] * REQUESTS)
        counts = _counted(answers)
        told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        print(f"{client} → [{address}]:{port}: {REQUESTS} requests, answered by {told}", flush=True)
        assert set(counts) == set(expected), f"not answered by {', '.join(expected)}"


def main() -> int:
    """Show it all; the exit status."""
    if not ipvs.is_there():
        print(f"kernel {os.uname().release} has no IPVS: `make ipvs` boots one that has it", file=sys.stderr)
        return 1
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        with _stage() as stage:
            _tour(stage)
    except AssertionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _tour(stage: Stage) -> None:
    before, after = story(
        (service(type="NodePort"), slices(*map(endpoint, ALL))),
        (slices(*map(endpoint, LEFT)),),
    )
    say(f"kernel {os.uname().release}: a NodePort Service with three endpoints, two on this node")
    stage.pipeline.apply(before)
    stage.show("cat", "/proc/net/ip_vs")
    stage.show("nft", "list", "tables")
    _ask_everybody(stage, before, ALL)
    say("an endpoint goes")
    stage.pipeline.apply(after)
    _ask_everybody(stage, before, LEFT)
    say("the Service goes: no new connection is taken, and those that there are have time to end (weight 0)")
    stage.pipeline.apply({})
    stage.show("cat", "/proc/net/ip_vs")
    say("the mode goes, and with it all virtual servers")
    stage.mode.remove()
    assert " -> " not in stage.show("cat", "/proc/net/ip_vs").split("\n", 3)[-1], "a virtual server is left"
    print("\nEverything above worked. All tests of the mode on this kernel: `make kernels`. docs/ipvs.md says the rest.")


def _ask_everybody(stage: Stage, objects: Objects, expected: tuple[str, ...]) -> None:
    web: dict[str, Any] = the_service(objects)["spec"]
    node_port = next(port["nodePort"] for port in web["ports"] if port["protocol"] == "TCP")
    say("requests through the ClusterIP from a pod and from the node, in both families")
    for address in web["clusterIPs"]:
        for client in ("client", "node"):
            stage.ask(client, address, 80, expected)
    say("requests through the NodePort from outside")
    for address in NODE.both:
        stage.ask("outside", address, node_port, expected)


@contextlib.contextmanager
def _stage() -> Iterator[Stage]:
    with topology() as world, contextlib.ExitStack() as running:
        for name, addresses in {**PODS, **PODS2}.items():
            if name in ALL:
                running.enter_context(echoing(world[name], name, addresses.both, (8080,)))
        clients = {name: running.enter_context(probing(world[name])) for name in ("client", "node", "outside")}
        mode = running.enter_context(dataplane(world, "ipvs"))
        yield Stage(world, clients, mode, Pipeline(world, mode, CONFIGS["default"], "ipvs"))


def _counted(answers: list[Answers]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in answers:
        for answer, count in each.items():
            name = answer.split()[0]
            counts[name] = counts.get(name, 0) + count
    return counts


if __name__ == "__main__":
    sys.exit(main())
