"""The simulator and the kernel say the same of random clusters: what tests/unit proves on the simulator holds for real packets.

`AGREEMENT_S` is how long each mode is tried (default: 15), `AGREEMENT_SEED` the first seed (default: 0, so that a change is judged by the
same clusters as the one before it). To search for what nobody has thought of: `AGREEMENT_S=600 AGREEMENT_SEED=$RANDOM`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest
from tests.kernel.simulator.conftest import COMPARED
from tests.kernel.traffic.inprocess import DATAPLANES, InProcess
from tests.support.netns.peers import Answers, Prober
from tests.support.netns.probe import DROP, REJECT
from tests.support.netns.topology import Topology
from tests.support.scenarios.book import NETNS
from tests.support.scenarios.configs import CONFIGS
from tests.support.simulator.answers import ask, shares
from tests.support.simulator.cases import Flow
from tests.support.simulator.clusters import Clusters
from tests.support.simulator.modes import MODES, SimulatedPipeline
from tests.support.simulator.node import NetnsNode
from tests.support.simulator.questions import questions, some

from proxyconfig_agent.checks.walker.path import Rules

LASTING_S = float(os.environ.get("AGREEMENT_S", "15"))
FIRST_SEED = int(os.environ.get("AGREEMENT_SEED", "0"))
QUESTIONS = 150
STATES = 3
"""Of each cluster, one after the other."""

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(LASTING_S * 4 + 120)]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode in DATAPLANES])
def test_real_packets_go_where_simulated_ones_go(
    mode: str, world: Topology, probers: Mapping[str, Prober], request: pytest.FixtureRequest
) -> None:
    ends, seed, flows = time.monotonic() + LASTING_S, FIRST_SEED, 0
    while time.monotonic() < ends:
        count, problem = _compared(mode, Random(seed), world, probers)
        assert not problem, f"AGREEMENT_SEED={seed} {problem}"
        flows, seed = flows + count, seed + 1
    request.config.stash.setdefault(COMPARED, {})[mode] = f"{flows} flows in {seed - FIRST_SEED} clusters"


def _compared(mode: str, random: Random, world: Topology, probers: Mapping[str, Prober]) -> tuple[int, str]:
    """How many flows were compared in the states of one cluster, and the differences in the first state that has some."""
    config, clusters, simulated = CONFIGS[random.choice(sorted(CONFIGS))], Clusters(random), MODES[mode]()
    objects, agent, count = clusters.cluster(), SimulatedPipeline(simulated, config), 0
    with InProcess(world, mode).running(config) as real:
        for state in range(STATES):
            agent.apply(objects)
            real.apply(objects)
            flows = some(random, filter(_can_be_told, questions(objects)), QUESTIONS)
            asked = _asked([_Expected(flow, simulated.rules, simulated.node) for flow in flows], probers)
            if problems := [problem for each, answers in asked if (problem := each.problem(answers))]:
                return count, f"{config.name}, state {state}: {'; '.join(problems)}"
            count, objects = count + len(flows), clusters.changed(objects)
    return count, ""


def _can_be_told(flow: Flow) -> bool:
    """A raw socket on the node hears its own questions to the node: it cannot tell a refusal from silence."""
    return not (flow.protocol == "SCTP" and flow.client == "node" and flow.address in (*NETNS.node.both, *NETNS.alternative.both))


class _Expected:
    """What the simulator says of a flow."""

    def __init__(self, flow: Flow, rules: Rules, node: NetnsNode) -> None:
        self.flow = flow
        self.space = NETNS.clients[flow.client].space
        packet = flow.packet(node)
        self._answers = set(shares(rules, packet, node))
        first = next(ask(rules, packet, node))
        self.sticky = len(self._answers) > 1 and set(shares(rules, packet, node, first.memory)) == {first.answer}

    def question(self) -> dict[str, Any]:
        """For probe.py: as many attempts as it takes to see every answer, and one too many."""
        client = NETNS.clients[self.flow.client]
        question: dict[str, Any] = {"address": self.flow.address, "port": self.flow.port, "protocol": self.flow.protocol.lower()}
        if client.bound:
            question["source"] = self.flow.own
        if DROP in self._answers:
            return {**question, "patience_s": 0.4}
        if self._answers == {REJECT}:
            return {**question, "again": 4, "patience_s": 3}
        return {**question, "attempts": 2000, "least": 12, "enough": 1 if self.sticky else len(self._answers)}

    def problem(self, answers: Answers) -> str:
        gave_up = not self._answers.isdisjoint((DROP, REJECT))  # at the first silence or refusal
        whole = gave_up or len(answers) == (1 if self.sticky else len(self._answers))
        agree = whole and set(answers) <= self._answers
        return "" if agree else f"{self.flow}: simulated {sorted(self._answers)}, real {answers}"


def _asked(expected: list[_Expected], probers: Mapping[str, Prober]) -> Iterator[tuple[_Expected, Answers]]:
    """All at the same time, each client on its own; then one by one those that meet an affinity: two first connections at the same time
    may go to two endpoints."""
    by_space: dict[str, list[_Expected]] = {}
    for each in expected:
        if not each.sticky:
            by_space.setdefault(each.space, []).append(each)
    for space, members in by_space.items():
        probers[space].send([each.question() for each in members])
    for space, members in by_space.items():
        yield from zip(members, probers[space].receive(), strict=True)
    for each in expected:
        if each.sticky:
            yield each, probers[each.space].ask([each.question()])[0]
