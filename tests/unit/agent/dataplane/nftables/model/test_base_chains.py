"""The fixed chains: how many rules they are, and what Settings make of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.dataplane.nftables.model.base_chains import fixed
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain, chain_of, needed_by
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.ingest.model import ANY, Family
from proxyconfig_agent.netlink.nftables.expressions import covers

PODS = LocalTraffic(cidrs=(network("10.244.0.0/24"), network("fd00:244::/64")))
SETTINGS = Settings(local_traffic=PODS, service_cidrs=(network("10.96.0.0/16"), network("fd00:96::/112")))


def comments(settings: Settings, family: Family = Family.IPV4) -> list[str]:
    return [rule.comment for chain in fixed(settings, family).chains.values() for rule in chain.rules if rule.comment]


@pytest.mark.parametrize("family", Family)
def test_the_number_of_chains_and_rules_is_pinned(family: Family) -> None:
    chains = fixed(SETTINGS, family).chains
    assert (len(chains), sum(len(chain.rules) for chain in chains.values())) == (17, 35)


@pytest.mark.parametrize(
    ("changes", "present", "absent"),
    [
        pytest.param({}, ["masquerade clusterIP traffic from outside cluster"], ["masquerade all clusterIP traffic"], id="by-cidr"),
        pytest.param({"masquerade_all": True}, ["masquerade all clusterIP traffic"], ["from outside cluster"], id="masquerade-all"),
        pytest.param(
            {"local_traffic": LocalTraffic()}, ["short-circuit local traffic"], ["from outside cluster", "short-circuit pod"], id="unknown"
        ),
        pytest.param(
            {"local_traffic": LocalTraffic(cidrs=(network("fd00::/64"),))},
            [],
            ["from outside cluster", "short-circuit pod"],
            id="other-family",
        ),
        pytest.param({"local_traffic": LocalTraffic(cidrs=(network("0.0.0.0/0"),))}, [], ["short-circuit pod"], id="everything-is-a-pod"),
        pytest.param({"service_cidrs": ()}, ["invalid ports"], ["unallocated"], id="no-service-cidr"),
    ],
)
def test_settings_decide_which_rules_there_are(changes: dict[str, object], present: list[str], absent: list[str]) -> None:
    words = "\n".join(comments(replace(SETTINGS, **changes)))
    assert [each for each in present if each not in words] == []
    assert [each for each in absent if each in words] == []


def test_each_cidr_of_the_pods_short_circuits_by_a_rule_of_its_own() -> None:
    several = LocalTraffic(cidrs=(network("10.244.0.0/24"), network("10.245.0.0/20")))
    assert comments(replace(SETTINGS, local_traffic=several)).count("short-circuit pod traffic") == 2


def test_chosen_node_port_addresses_are_elements_and_loopback_is_never_one() -> None:
    chosen = replace(SETTINGS, node_port_addresses=(ip("192.0.2.1"), ip("127.0.0.1"), ip("::1"), ip("fd00::1")))
    assert set(fixed(chosen, Family.IPV4).elements[address_sets.NODEPORT_IPS]) == {ip("192.0.2.1")}
    assert set(fixed(chosen, Family.IPV6).elements[address_sets.NODEPORT_IPS]) == {ip("fd00::1")}


def test_all_addresses_are_asked_of_the_routing_table() -> None:
    of_all, chosen = (
        fixed(replace(SETTINGS, node_port_addresses=addresses), Family.IPV4).chains["services"].rules[-1].expressions
        for addresses in (tuple(ANY.values()), ())
    )
    assert b"fib\0" in of_all
    assert address_sets.NODEPORT_IPS.encode() not in of_all
    assert address_sets.NODEPORT_IPS.encode() in chosen


def test_equal_settings_make_equal_rules_and_other_ones_others() -> None:
    one, same = fixed(SETTINGS, Family.IPV4).chains, fixed(SETTINGS, Family.IPV4).chains
    other = fixed(replace(SETTINGS, masquerade_bit=15), Family.IPV4).chains
    assert one == same
    changed = {
        name
        for name, chain in one.items()
        if not all(covers(after.expressions, rule.expressions) for rule, after in zip(chain.rules, other[name].rules, strict=True))
    }
    assert changed == {"services", "external", "external-local", "nat-postrouting"}


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(
    ("pick", "rules", "needs"),
    [
        pytest.param(EndpointChain(1), 2, (), id="one"),
        pytest.param(EndpointChain(7), 2, (EndpointChain(1),), id="several"),
        pytest.param(EndpointChain(7, local=True), 2, (EndpointChain(1, local=True),), id="local"),
        pytest.param(EndpointChain(7, affinity_s=60), 4, (), id="sticky"),
    ],
)
def test_a_pick_chain_has_few_rules(family: Family, pick: EndpointChain, rules: int, needs: tuple[EndpointChain, ...]) -> None:
    assert len(chain_of(pick, family).rules) == rules
    assert needed_by(pick) == needs
