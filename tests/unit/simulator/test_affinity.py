"""Session affinity through changes: a client keeps its endpoint as long as that one serves it, and is never sent to one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.netns.probe import DROP
from tests.support.scenarios.scenario import Object
from tests.support.simulator.agents import Agent, Objects
from tests.support.simulator.answers import ask
from tests.support.simulator.cases import Flow
from tests.support.simulator.modes import MODES
from tests.support.simulator.oracle import Oracle
from tests.support.simulator.oracles import HABITS, in_words
from tests.support.simulator.questions import questions
from tests.unit.simulator.effort import effort

from proxyconfig_agent.checks.walker.path import Memory

CHANGES = 4


def sticky(objects: Objects) -> Iterator[tuple[tuple[str, str, int, str], Flow]]:
    """The flows of Service ports that have affinity to their ClusterIPs, by client and Service port."""
    owners = {address: one for one in objects.values() if _has_affinity(one) for address in one["spec"]["clusterIPs"]}
    for flow in questions(objects):
        one = owners.get(flow.address)
        if one and (flow.port, flow.protocol) in {(port["port"], port["protocol"]) for port in one["spec"]["ports"]}:
            yield (flow.own, flow.address, flow.port, flow.protocol), flow


def _has_affinity(one: Object) -> bool:
    return bool(one["kind"] == "Service" and one["spec"].get("sessionAffinity") == "ClientIP")


@pytest.mark.parametrize("mode", MODES)
@effort(20)
@given(seed=st.integers(0, 1 << 32))
def test_a_client_keeps_its_endpoint_while_it_serves(mode: str, seed: int) -> None:
    random, memory = Random(seed), Memory()
    agent = Agent(mode, random)
    last: dict[tuple[str, str, int, str], str] = {}
    for _ in range(CHANGES):
        agent.sync()
        memory = agent.mode.remembered(memory)
        oracle, before, last = Oracle(agent.objects, agent.config, HABITS[mode]), last, {}
        for key, flow in sticky(agent.objects):
            allowed = set(oracle.expects(flow))
            if DROP in allowed:
                continue  # several endpoints may sound like this
            ways = list(ask(agent.mode.rules, flow.packet(agent.node), agent.node, memory))
            _judge({in_words(way.answer, flow) for way in ways}, allowed, before.get(key), agent.mode.name)
            chosen = random.choice(ways)
            again = {in_words(way.answer, flow) for way in ask(agent.mode.rules, flow.packet(agent.node), agent.node, chosen.memory)}
            last[key], memory = in_words(chosen.answer, flow), chosen.memory
            assert again == {last[key]}
        agent.change_objects()
        if random.random() < 0.3:
            agent.restart()


def _judge(found: set[str], allowed: set[str], kept: str | None, mode: str) -> None:
    """`kept` is what the client had last. iptables remembers it at each endpoint that it ever had, and takes the first that is there."""
    assert found <= allowed
    if kept in allowed:
        assert len(found) == 1
        assert mode == "iptables" or found == {kept}
