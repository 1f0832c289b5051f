"""What IPVS does with packets that come to a virtual server, between rules of iptables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.walker.choices import every_way
from proxyconfig_agent.checks.walker.iptables.rules import IptablesRules
from proxyconfig_agent.checks.walker.ipvs import IpvsRules, Server
from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Fate, Memory, Verdict, travel
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.netlink.ipvs.messages import Destination, Scheduling, VirtualServer
from proxyconfig_agent.netlink.uapi import IP_VS_SVC_F_PERSISTENT

SERVICE, NODE = bytes((10, 96, 0, 1)), bytes((192, 0, 2, 1))
ONE, TWO, THREE = (Destination(bytes((10, 1, 0, last)), 8080) for last in (1, 2, 3))
HERE = Destination(NODE, 8080)
OUTSIDE = Packet(4, 6, bytes((198, 51, 100, 7)), SERVICE, 40_000, 80, came_in="eth0")
PROCESS = Packet(4, 6, SERVICE, SERVICE, 40_000, 80)
NODES = NodeAddresses((), {SERVICE: SERVICE, NODE: NODE})
WEIGHTED, NOTHING = Scheduling("wrr"), Memory()
MASQUERADE = {Chain(Table.NAT, "POSTROUTING"): ("-j MASQUERADE",)}


@dataclass
class Rules:
    """Built-in chains that are empty where they are not given."""

    some: Mapping[Chain, Sequence[str]] = field(default_factory=dict)

    @property
    def chains(self) -> Mapping[Chain, Sequence[str]]:
        names = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
        return {chain: self.some.get(chain, ()) for chain in (Chain(table, name) for table in Table for name in names)}


def ways(
    weights: Mapping[Destination, int],
    packet: Packet = OUTSIDE,
    scheduling: Scheduling = WEIGHTED,
    rules: Mapping[Chain, Sequence[str]] = MASQUERADE,
    memory: Memory = NOTHING,
) -> list[tuple[Fraction, Fate]]:
    server = VirtualServer(packet.protocol, SERVICE, 80)
    made = IpvsRules(IptablesRules({4: Rules(rules)}), {server: Server(scheduling, dict(weights))})
    return list(every_way(lambda choices: travel(made, packet, NODES, choices, memory)))


def shares(found: list[tuple[Fraction, Fate]]) -> dict[Destination, Fraction]:
    return {Destination(fate.packet.destination, fate.packet.port): share for share, fate in found}


def test_destinations_get_connections_by_their_weights_and_none_with_weight_0() -> None:
    assert shares(ways({ONE: 1, TWO: 0, THREE: 3})) == {ONE: Fraction(1, 4), THREE: Fraction(3, 4)}


def test_round_robin_looks_at_no_weight_but_0() -> None:
    assert shares(ways({ONE: 1, TWO: 0, THREE: 3}, scheduling=Scheduling("rr"))) == {ONE: Fraction(1, 2), THREE: Fraction(1, 2)}


@pytest.mark.parametrize("weights", [{}, {ONE: 0}], ids=["without destinations", "all with weight 0"])
@pytest.mark.parametrize("packet", [OUTSIDE, PROCESS], ids=["outside", "node"])
def test_a_virtual_server_that_has_nobody_to_choose_rejects(weights: Mapping[Destination, int], packet: Packet) -> None:
    assert [fate.verdict for _, fate in ways(weights, packet)] == [Verdict.REJECT]


@pytest.mark.parametrize("packet", [OUTSIDE, PROCESS], ids=["outside", "node"])
@pytest.mark.parametrize("destination", [ONE, HERE], ids=["elsewhere", "on the node"])
def test_what_is_sent_on_meets_postrouting_where_it_leaves(packet: Packet, destination: Destination) -> None:
    ((_, fate),) = ways({destination: 1}, packet)
    assert (fate.verdict, fate.packet.destination, fate.packet.port) == (Verdict.ACCEPT, *destination)
    assert fate.packet.masqueraded is not (packet is OUTSIDE and destination is HERE)


def test_a_port_without_a_virtual_server_stays_with_the_node() -> None:
    other = Packet(4, 6, OUTSIDE.source, SERVICE, 40_000, 81, came_in="eth0")
    ((_, fate),) = ways({ONE: 1}, other)
    assert (fate.packet.destination, fate.packet.virtual_server) == (SERVICE, None)


def test_a_client_stays_at_its_destination_where_the_virtual_server_is_persistent_until_that_takes_none() -> None:
    persistent = Scheduling("rr", IP_VS_SVC_F_PERSISTENT, 60)
    first = ways({ONE: 1, TWO: 1}, scheduling=persistent)
    assert set(shares(first)) == {ONE, TWO}
    memory = next(fate.memory for _, fate in first if fate.packet.destination == TWO.address)
    assert shares(ways({ONE: 1, TWO: 1}, scheduling=persistent, memory=memory)) == {TWO: 1}
    assert shares(ways({ONE: 1, TWO: 0}, scheduling=persistent, memory=memory)) == {ONE: 1}


@pytest.mark.parametrize(
    ("match", "dropped"),
    [
        ("-s 10.96.0.1/32 -m ipvs --vaddr 10.96.0.1 --vproto 6 --vport 80", True),
        ("-m ipvs --vaddr 10.96.0.1 --vproto tcp --vport 80", True),
        ("-m ipvs --vaddr 10.96.0.2 --vproto 6 --vport 80", False),
        ("-m ipvs --vaddr 10.96.0.1 --vproto 17 --vport 80", False),
        ("-m ipvs --vaddr 10.96.0.1 --vproto 6 --vport 81", False),
        ("-s 10.96.0.2/32", False),
    ],
)
def test_rules_of_table_filter_at_output_see_by_which_virtual_server_it_was_sent_on(match: str, dropped: bool) -> None:
    ((_, fate),) = ways({ONE: 1}, PROCESS, rules={Chain(Table.FILTER, "OUTPUT"): (f"{match} -j DROP",)})
    assert (fate.verdict is Verdict.DROP) is dropped


def test_rules_of_table_filter_at_input_come_before_ipvs_and_those_at_output_behind() -> None:
    at_input = {Chain(Table.FILTER, "INPUT"): ("-d 10.96.0.1/32 -j DROP",)}
    at_output = {Chain(Table.FILTER, "OUTPUT"): ("-d 10.96.0.1/32 -j DROP",)}
    assert [fate.verdict for _, fate in ways({ONE: 1}, OUTSIDE, rules=at_input)] == [Verdict.DROP]
    assert [fate.verdict for _, fate in ways({ONE: 1}, PROCESS, rules=at_output)] == [Verdict.ACCEPT]
