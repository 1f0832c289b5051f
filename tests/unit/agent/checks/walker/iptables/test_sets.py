"""Sets of ip_set in rules of iptables: which packets each kind of set has."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.walker.choices import Choices
from proxyconfig_agent.checks.walker.iptables.rules import IptablesRules
from proxyconfig_agent.checks.walker.iptables.sets import IpSet
from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Hook, Memory, Passage, Verdict
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.netlink.ipset_messages import Entry

CLIENT, SERVICE = bytes((10, 1, 0, 7)), bytes((10, 96, 0, 1))
CLIENT6, SERVICE6 = ipaddress.ip_address("fd00:1::7").packed, ipaddress.ip_address("fd00:96::1").packed
NETWORK6 = ipaddress.ip_address("fd00:1::").packed
TCP, UDP = 6, 17
PACKET = Packet(4, TCP, CLIENT, SERVICE, 40_000, 80, came_in="eth0")
PACKET6 = Packet(6, TCP, CLIENT6, SERVICE6, 40_000, 80, came_in="eth0")


@dataclass
class Chains:
    chains: Mapping[Chain, Sequence[str]]


def is_dropped(match: str, sets: Mapping[str, IpSet], packet: Packet = PACKET) -> bool:
    chains = {Chain(table, "FORWARD"): [f"-m set {match} -j DROP"] if table is Table.FILTER else [] for table in Table}
    passage = Passage(packet, NodeAddresses(()), Choices(), Memory())
    return IptablesRules({packet.family: Chains(chains)}, sets).meet(Hook.FORWARD, passage) is Verdict.DROP


@pytest.mark.parametrize(
    ("kind", "entry", "directions", "other"),
    [
        pytest.param("hash:ip", Entry(SERVICE), "dst", {"destination": CLIENT}, id="address"),
        pytest.param("hash:ip", Entry(CLIENT), "src", {"source": SERVICE}, id="source"),
        pytest.param("hash:ip,port", Entry(SERVICE, TCP, 80), "dst,dst", {"port": 81}, id="port"),
        pytest.param("hash:ip,port", Entry(SERVICE, TCP, 80), "dst,dst", {"protocol": UDP}, id="protocol"),
        pytest.param("hash:ip,port", Entry(CLIENT, TCP, 80), "src,dst", {"source": SERVICE}, id="source and port"),
        pytest.param("hash:ip,port", Entry(CLIENT, TCP, 40_000), "src,src", {"source_port": 80}, id="source's port"),
        pytest.param("hash:ip,port,ip", Entry(SERVICE, TCP, 80, CLIENT), "dst,dst,src", {"source": SERVICE}, id="both addresses"),
        pytest.param("hash:ip,port,net", Entry(SERVICE, TCP, 80, bytes((10, 1, 0, 0)), 16), "dst,dst,src", {"source": SERVICE}, id="net"),
        pytest.param("bitmap:port", Entry(b"", 0, 80), "dst", {"port": 81}, id="bitmap"),
    ],
)
def test_a_set_has_what_one_of_its_entries_has_in_all_parts(kind: str, entry: Entry, directions: str, other: dict[str, object]) -> None:
    sets = {"SOME": IpSet(kind, [entry])}
    assert is_dropped(f"--match-set SOME {directions}", sets)
    assert not is_dropped(f"! --match-set SOME {directions}", sets)
    assert not is_dropped(f"--match-set SOME {directions}", sets, replace(PACKET, **other))


def test_networks_of_ipv6_are_those_of_an_address_and_port() -> None:
    entries = [Entry(SERVICE6, TCP, 80, CLIENT6, 128), Entry(SERVICE6, TCP, 80, NETWORK6, 64), Entry(CLIENT6, TCP, 80, SERVICE6, 128)]
    sets = {"SOME": IpSet("hash:ip,port,net", entries)}
    neighbour = ipaddress.ip_address("fd00:1::8").packed
    assert is_dropped("--match-set SOME dst,dst,src", sets, replace(PACKET6, source=neighbour))
    assert not is_dropped("--match-set SOME dst,dst,src", sets, replace(PACKET6, source=SERVICE6))


def test_a_set_has_nothing_where_too_few_directions_are_given() -> None:
    sets = {"SOME": IpSet("hash:ip,port", [Entry(SERVICE, TCP, 80)])}
    assert not is_dropped("--match-set SOME dst", sets)


@pytest.mark.parametrize(
    ("sets", "words"),
    [({}, "--match-set SOME: no such set is known here"), ({"SOME": IpSet("hash:mac", [])}, "a set of type hash:mac is not known here")],
)
def test_what_is_not_known_is_an_error(sets: Mapping[str, IpSet], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        is_dropped("--match-set SOME src", sets)
