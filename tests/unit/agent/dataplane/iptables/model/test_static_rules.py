"""The chains of all Services, and the jumps to them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.agent.dataplane.iptables.listing import SETTINGS
from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.dataplane.iptables.model.chain_names import FIXED
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Features, Rules, Table
from proxyconfig_agent.dataplane.iptables.model.static_rules import fixed
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.ingest.model import Family

LAST = '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" '


def rules(table: Table, chain: str, settings: Settings = SETTINGS, features: Features | None = None) -> Rules:
    return fixed(settings, Family.IPV4, features or Features()).chains[Chain(table, chain)]


def node_ports(family: Family = Family.IPV4, **changes: object) -> list[str]:
    """What leads to KUBE-NODEPORTS, without what is always there."""
    last = fixed(replace(SETTINGS, **changes), family, Features()).last[Chain(Table.NAT, "KUBE-SERVICES")]
    return [rule.removeprefix(LAST).removesuffix(" -j KUBE-NODEPORTS") for rule in last]


def test_jumps_stand_in_the_built_in_chains_in_kube_proxys_order() -> None:
    standing: dict[str, list[str]] = {}
    for chain, rule in fixed(SETTINGS, Family.IPV4, Features()).jumps:
        standing.setdefault(f"{chain.table} {chain.name}", []).insert(0, rule.split()[-1])
    assert standing == {
        "filter INPUT": ["KUBE-FIREWALL", "KUBE-PROXY-FIREWALL", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES"],
        "filter FORWARD": ["KUBE-PROXY-FIREWALL", "KUBE-FORWARD", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"],
        "filter OUTPUT": ["KUBE-FIREWALL", "KUBE-PROXY-FIREWALL", "KUBE-SERVICES"],
        "nat OUTPUT": ["KUBE-SERVICES"],
        "nat PREROUTING": ["KUBE-SERVICES"],
        "nat POSTROUTING": ["KUBE-POSTROUTING"],
    }


def test_only_new_connections_are_looked_at_for_refusals() -> None:
    asked = {
        rule.split()[-1]: rule.startswith("-m conntrack --ctstate NEW ") for _, rule in fixed(SETTINGS, Family.IPV4, Features()).jumps[:9]
    }
    assert asked == {
        "KUBE-EXTERNAL-SERVICES": True,
        "KUBE-NODEPORTS": False,
        "KUBE-SERVICES": True,
        "KUBE-FORWARD": False,
        "KUBE-PROXY-FIREWALL": True,
    }


@pytest.mark.parametrize("family", Family)
def test_every_chain_but_the_kubelets_is_known_to_cleaning_up(family: Family) -> None:
    networks = tuple(map(network, ("10.1.0.0/16", "10.2.0.0/16", "fd01::/16", "fd02::/16")))
    made = set(fixed(replace(SETTINGS, local_traffic=LocalTraffic(cidrs=networks), localhost_node_ports=True), family, Features()).chains)
    assert made - {Chain(Table.FILTER, "KUBE-FIREWALL")} == set(FIXED)


def test_traffic_that_is_marked_is_masqueraded_and_loses_the_mark() -> None:
    assert rules(Table.NAT, "KUBE-MARK-MASQ") == ("-j MARK --or-mark 0x00004000",)
    assert rules(Table.NAT, "KUBE-POSTROUTING") == (
        "-m mark ! --mark 0x00004000/0x00004000 -j RETURN",
        "-j MARK --xor-mark 0x00004000",
        '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    )


def test_the_mark_is_the_bit_of_the_settings() -> None:
    assert rules(Table.NAT, "KUBE-MARK-MASQ", replace(SETTINGS, masquerade_bit=31)) == ("-j MARK --or-mark 0x80000000",)


def test_an_old_iptables_masquerades_less_randomly() -> None:
    assert rules(Table.NAT, "KUBE-POSTROUTING", features=Features(random_fully=False))[-1].endswith("-j MASQUERADE")


@pytest.mark.parametrize(
    ("features", "first"),
    [
        pytest.param(Features(), "-m conntrack --ctstate INVALID -j DROP", id="plain"),
        pytest.param(
            Features(counters=True),
            "-m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP",
            id="counted",
        ),
        pytest.param(
            Features(liberal=True),
            '-m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT',
            id="liberal",
        ),
    ],
)
def test_invalid_packets_are_dropped_unless_conntrack_is_liberal(features: Features, first: str) -> None:
    assert rules(Table.FILTER, "KUBE-FORWARD", features=features)[0] == first


@pytest.mark.parametrize(
    ("family", "localhost", "there"), [(Family.IPV4, True, True), (Family.IPV4, False, False), (Family.IPV6, True, False)]
)
def test_loopback_is_protected_where_it_serves_node_ports(family: Family, localhost: bool, there: bool) -> None:
    chains = fixed(replace(SETTINGS, localhost_node_ports=localhost), family, Features()).chains
    assert (Chain(Table.FILTER, "KUBE-FIREWALL") in chains) is there


@pytest.mark.parametrize(
    ("family", "changes", "matches"),
    [
        pytest.param(Family.IPV4, {}, ["-m addrtype --dst-type LOCAL ! -d 127.0.0.0/8"], id="all"),
        pytest.param(Family.IPV4, {"localhost_node_ports": True}, ["-m addrtype --dst-type LOCAL"], id="all-and-localhost"),
        pytest.param(Family.IPV6, {"localhost_node_ports": True}, ["-m addrtype --dst-type LOCAL ! -d ::1/128"], id="never-v6-localhost"),
        pytest.param(Family.IPV4, {"node_port_addresses": (ip("192.0.2.1"), ip("fd00::1"))}, ["-d 192.0.2.1"], id="chosen"),
        pytest.param(Family.IPV4, {"node_port_addresses": (ip("127.0.0.1"), ip("192.0.2.1"))}, ["-d 192.0.2.1"], id="chosen-localhost-off"),
        pytest.param(
            Family.IPV4,
            {"node_port_addresses": (ip("127.0.0.1"), ip("192.0.2.1")), "localhost_node_ports": True},
            ["-d 127.0.0.1", "-d 192.0.2.1"],
            id="chosen-localhost",
        ),
        pytest.param(
            Family.IPV6, {"node_port_addresses": (ip("::1"), ip("fd00::1")), "localhost_node_ports": True}, ["-d fd00::1"], id="chosen-v6"
        ),
        pytest.param(Family.IPV4, {"node_port_addresses": ()}, [], id="none"),
    ],
)
def test_node_ports_are_served_on_the_chosen_addresses(family: Family, changes: dict[str, object], matches: list[str]) -> None:
    assert node_ports(family, **changes) == matches


def test_several_networks_of_pods_have_a_chain_that_marks_what_is_from_none_of_them() -> None:
    several = replace(SETTINGS, local_traffic=LocalTraffic(cidrs=(network("10.1.0.0/16"), network("10.2.0.0/16"))))
    assert rules(Table.NAT, "KUBE-MARK-MASQ-OUTSIDE", several) == (
        "-s 10.1.0.0/16 -j RETURN",
        "-s 10.2.0.0/16 -j RETURN",
        "-j KUBE-MARK-MASQ",
    )
    assert Chain(Table.NAT, "KUBE-MARK-MASQ-OUTSIDE") not in fixed(SETTINGS, Family.IPV4, Features()).chains
