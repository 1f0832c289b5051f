"""Rules that match by chance: how large the part of the packets is that each takes, and how often rules are looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.walker.choices import every_way
from proxyconfig_agent.checks.walker.iptables.rules import IptablesRules
from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Memory, travel
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table

PACKET = Packet(4, 6, bytes((10, 1, 0, 1)), bytes((10, 96, 0, 1)), 40_000, 80, came_in="eth0")
THREE = (
    "-m statistic --mode random --probability 0.33333333349 -j ONE",
    "-m statistic --mode random --probability 0.50000000000 -j TWO",
    "-j THREE",
)


@dataclass
class Chains:
    chains: Mapping[Chain, Sequence[str]]


class Looks(tuple[str, ...]):
    """Rules that count how often one of them is looked at."""

    __slots__ = ()
    seen = 0

    def __getitem__(self, place: Any) -> Any:
        Looks.seen += 1
        return super().__getitem__(place)


def ports(rules: Sequence[str], **targets: tuple[str, ...]) -> dict[int, Fraction]:
    """To which port which part of the packets goes; `targets` are chains."""
    built_in = {Chain(table, name): () for table in Table for name in ("PREROUTING", "INPUT", "FORWARD", "POSTROUTING")}
    chains: dict[Chain, Sequence[str]] = {**built_in, Chain(Table.NAT, "PREROUTING"): rules}
    chains |= {Chain(Table.NAT, name): of for name, of in targets.items()}
    there, found = IptablesRules({4: Chains(chains)}), defaultdict[int, Fraction](Fraction)
    for share, fate in every_way(lambda choices: travel(there, PACKET, NodeAddresses(()), choices, Memory())):
        found[fate.packet.port] += share
    return dict(found)


def to(port: int) -> tuple[str, ...]:
    return (f"-p tcp -m tcp -j DNAT --to-destination 10.1.0.2:{port}",)


def test_each_of_several_takes_the_same_part() -> None:
    third = Fraction(1, 3)
    assert ports(THREE, ONE=to(1), TWO=to(2), THREE=to(3)) == {1: third, 2: third, 3: third}


def test_what_comes_back_from_the_chain_that_was_drawn_meets_the_rules_behind() -> None:
    assert ports(THREE, ONE=(), TWO=to(2), THREE=to(3)) == {2: Fraction(1, 2), 3: Fraction(1, 2)}


def test_none_of_them_may_take_a_packet() -> None:
    assert ports(THREE[:2], ONE=to(1), TWO=to(2)) == {1: Fraction(1, 3), 2: Fraction(1, 3), 80: Fraction(1, 3)}


def test_a_rule_that_matches_something_besides_is_no_matter_of_chance_alone() -> None:
    rules = ("-p udp -m statistic --mode random --probability 0.5 -j ONE", *THREE[1:])
    assert ports(rules, ONE=to(1), TWO=to(2), THREE=to(3)) == {2: Fraction(1, 2), 3: Fraction(1, 2)}


def test_a_fraction_of_more_digits_than_a_third_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="no fraction that is known here"):
        ports(("-m statistic --mode random --probability 0.123456789 -j ONE",), ONE=to(1))


def looks(endpoints: int) -> int:
    """At the rules of a Service with so many endpoints, on all ways together."""
    rules = [f"-m statistic --mode random --probability {1 / left:.11f} -j E{left}" for left in range(endpoints, 1, -1)]
    targets = {f"E{left}": to(left) for left in range(endpoints, 0, -1)}
    Looks.seen = 0
    assert set(ports(Looks([*rules, "-j E1"]), **targets).values()) == {Fraction(1, endpoints)}
    return Looks.seen


def test_the_work_grows_with_the_endpoints_and_not_with_their_square() -> None:
    assert looks(200) < 2.5 * looks(100)
