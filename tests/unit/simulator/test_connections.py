"""Connections through virtual servers outlive changes: IPVS cuts those of what is deleted, so what goes has to drain."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.support.simulator.agents import Agent
from tests.support.simulator.cases import Flow
from tests.support.simulator.ipvs.mode import IpvsMode
from tests.support.simulator.ipvs.servers import SimulatedServers
from tests.support.simulator.oracle import Oracle
from tests.support.simulator.oracles import HABITS, heard
from tests.support.simulator.questions import questions, some
from tests.unit.simulator.effort import effort

from proxyconfig_agent.checks.walker.choices import every_way
from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Memory, travel
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs.messages import Destination

QUESTIONS, CHANGES = 30, 3
seeds = st.integers(0, 1 << 32)
few = effort(10)


def servers(agent: Agent) -> SimulatedServers:
    assert isinstance(agent.mode, IpvsMode)
    return agent.mode.kernel.servers


def connect(agent: Agent, flows: list[Flow]) -> None:
    """One connection each to every destination that it can get."""
    ipvs = servers(agent)
    for flow in flows:
        for packet in ended(agent, flow):
            if packet.virtual_server:
                ipvs.connections[packet.virtual_server, Destination(packet.destination, packet.port)] += 1


def ended(agent: Agent, flow: Flow) -> Iterator[Packet]:
    """The first packet of a connection as it is at its end, on every way."""
    packet, none = flow.packet(agent.node), Memory()
    for _, fate in every_way(lambda choices: travel(agent.mode.rules, packet, agent.node, choices, none)):
        yield fate.packet


def change(agent: Agent, random: Random) -> None:
    agent.change_objects()
    if random.random() < 0.3:
        agent.restart()
    agent.sync()


def changing(seed: int) -> Iterator[Agent]:
    """An agent after each of several changes; before each, new connections are made."""
    random = Random(seed)
    agent = Agent("ipvs", random)
    agent.sync()
    for _ in range(CHANGES):
        connect(agent, some(random, questions(agent.objects), QUESTIONS))
        change(agent, random)
        yield agent


@few
@given(seed=seeds)
def test_a_change_cuts_no_connection_of_tcp_and_sctp(seed: int) -> None:
    for agent in changing(seed):
        assert {server.protocol for server, _ in servers(agent).cut} <= {Protocol.UDP}
        assert all(agent.node.is_local(server.address) for server, _ in servers(agent).connections)


@few
@given(seed=seeds)
def test_what_drains_takes_no_new_connections(seed: int) -> None:
    random = Random(seed)
    agent = Agent("ipvs", random)
    agent.sync()
    flows = some(random, questions(agent.objects), QUESTIONS)
    for _ in range(CHANGES):
        connect(agent, flows)
        change(agent, random)
        oracle = Oracle(agent.objects, agent.config, HABITS["ipvs"])
        for flow in flows:
            assert heard(agent.mode.rules, flow, agent.node) == oracle.expects(flow), flow


@few
@given(seed=seeds)
def test_nothing_is_left_of_it_when_the_last_connection_has_ended(seed: int) -> None:
    *_, agent = changing(seed)
    servers(agent).connections.clear()
    agent.sync()
    assert agent.mode.state() == agent.fresh().state()
