"""The rules of the chains that all Services share, for one Service: what they are, and how often they are looked at."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.checks.shadow.iptables import Chains, desired
from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import Frontends

SERVICES = Chain(Table.NAT, chain_names.SERVICES)
NODE_PORTS = Chain(Table.NAT, chain_names.NODE_PORTS)


class Looks(tuple[str, ...]):
    """Rules that count how many of them a loop went through."""

    __slots__ = ()
    seen = 0

    def __iter__(self) -> Iterator[str]:
        for rule in super().__iter__():
            Looks.seen += 1
            yield rule


def ports_of(number: int) -> list[Frontends]:
    first = ipaddress.ip_address("10.96.1.0")
    return [frontends(f"s{n}", str(first + n), ("10.1.0.1:8080",), node_port=30000 + n) for n in range(number)]


def looks(number: int) -> int:
    """At rules, in a round over so many Services."""
    ports, Looks.seen = ports_of(number), 0
    chains = desired(ports, Settings(), Family.IPV4).chains
    theirs = Chains({chain: Looks(rules) for chain, rules in chains.items()})
    for port in ports:
        theirs.about([port])
    return Looks.seen


def test_the_work_of_a_round_grows_with_the_services_and_not_with_their_square() -> None:
    assert looks(400) < 2.5 * looks(200)


def test_a_service_has_its_own_rules_in_their_order_and_those_that_concern_all() -> None:
    ports = ports_of(3)
    every = desired(ports, Settings(), Family.IPV4)
    about = every.about(ports[1:2])
    for chain in (SERVICES, NODE_PORTS):
        whole, own = every.chains[chain], about.chains[chain]
        others = [rule for rule in whole if "shop/s0" in rule or "shop/s2" in rule]
        assert own == tuple(rule for rule in whole if rule not in others)
        assert [rule for rule in own if "shop/s1" in rule]


def test_the_chains_of_a_service_are_all_there() -> None:
    ports = ports_of(2)
    every = desired(ports, Settings(), Family.IPV4)
    assert set(every.about(ports[:1]).chains) == set(every.chains)
