"""A node is taken over as it is: from kube-proxy, from an agent before, or after somebody changed it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.simulator.iptables.tables import Tables
from tests.unit.agent.dataplane.iptables.test_delta import ENDPOINTS, SERVICES, adopted, contents, lowering
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.iptables.model.chain_names import OF_IPVS
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.iptables.model.static_rules import JUMPS, JUMPS_OF_IPVS, PROTECTION
from proxyconfig_agent.dataplane.iptables.sync import reconcile
from proxyconfig_agent.dataplane.iptables.sync.reconcile import KUBELET
from proxyconfig_agent.dataplane.iptables.sync.stale_udp import udp_destinations
from proxyconfig_agent.dataplane.port import Destination
from proxyconfig_agent.ingest.model import Family, Protocol

PORTS = [frontends(f"web-{number}", f"10.96.0.{number}", ENDPOINTS, node_port=30000 + number) for number in (1, 2, 3)]
FORWARD = Chain(Table.FILTER, "FORWARD")


@pytest.fixture
def tables() -> Tables:
    made = Tables()
    adopted(made, [*PORTS])
    return made


def _flush_everything(tables: Tables) -> None:
    tables.chains = Tables().chains


def _delete_one_shared_rule(tables: Tables) -> None:
    del tables.chains[SERVICES][1]


def _move_the_last_rule(tables: Tables) -> None:
    tables.chains[SERVICES].insert(0, tables.chains[SERVICES].pop())


def _add_a_rule_in_a_shared_chain(tables: Tables) -> None:
    tables.chains[SERVICES].insert(0, "-d 192.0.2.1/32 -j DROP")


def _change_an_own_chain(tables: Tables) -> None:
    chain = next(chain for chain in tables.chains if chain.name.startswith("KUBE-SEP-"))
    tables.chains[chain][-1] = "-p tcp -m tcp -j DNAT --to-destination 192.0.2.1:80"


def _delete_a_canary(tables: Tables) -> None:
    del tables.chains[Chain(Table.MANGLE, "KUBE-PROXY-CANARY")]


def _delete_a_jump(tables: Tables) -> None:
    tables.chains[FORWARD].pop()


def _change_a_mark(tables: Tables) -> None:
    tables.chains[Chain(Table.NAT, "KUBE-MARK-MASQ")] = ["-j MARK --set-xmark 0x8000/0x8000"]


@pytest.mark.parametrize(
    "harm",
    [
        _flush_everything,
        _delete_one_shared_rule,
        _move_the_last_rule,
        _add_a_rule_in_a_shared_chain,
        _change_an_own_chain,
        _delete_a_canary,
        _delete_a_jump,
        _change_a_mark,
    ],
)
def test_what_somebody_changed_is_put_right_and_nothing_else_is_touched(tables: Tables, harm: Callable[[Tables], None]) -> None:
    before = contents(tables)
    harm(tables)
    assert 0 < adopted(tables, [*PORTS]) < 60
    assert contents(tables) == before
    assert tables.chains[SERVICES][-1].endswith("-j KUBE-NODEPORTS")
    assert adopted(tables, [*PORTS]) == 0


def test_jumps_are_made_in_kube_proxys_order() -> None:
    tables = Tables()
    adopted(tables, [])
    assert [rule.rpartition(" ")[2] for rule in tables.chains[FORWARD]] == [
        "KUBE-PROXY-FIREWALL",
        "KUBE-FORWARD",
        "KUBE-SERVICES",
        "KUBE-EXTERNAL-SERVICES",
    ]


def test_what_kubelet_has_in_its_chain_stays() -> None:
    tables, kubelet = Tables(), Chain(Table.FILTER, "KUBE-FIREWALL")
    tables.chains[kubelet] = ["-m mark --mark 0x8000/0x8000 -j DROP"]
    adopted(tables, [])
    assert tables.chains[kubelet] == ["-m mark --mark 0x8000/0x8000 -j DROP"]


def test_removal_leaves_what_others_have_as_it_was() -> None:
    tables = Tables()
    tables.chains[Chain(Table.MANGLE, "KUBE-IPTABLES-HINT")] = []
    hostports, kubelet = Chain(Table.NAT, "CNI-HOSTPORT"), Chain(Table.FILTER, "KUBE-FIREWALL")
    tables.chains[FORWARD].append("-s 192.0.2.9/32 -j DROP")
    tables.chains[hostports] = ["-d 192.0.2.1/32 -j DNAT --to-destination 10.0.0.1:80"]
    tables.chains[kubelet] = []
    for hook in ("INPUT", "OUTPUT"):
        tables.chains[Chain(Table.FILTER, hook)].append("-j KUBE-FIREWALL")
    before = {chain: list(rules) for chain, rules in tables.chains.items()}
    adopted(tables, [*PORTS])
    tables.edit(reconcile.removal(JUMPS, tables.saved()))
    assert tables.chains == before


def test_removal_takes_what_kube_proxy_left_in_ipvs_mode() -> None:
    tables = Tables()
    before = {chain: list(rules) for chain, rules in tables.chains.items()}
    for chain in (*OF_IPVS, Chain(Table.NAT, "KUBE-SERVICES"), Chain(Table.FILTER, "KUBE-PROXY-FIREWALL")):
        tables.chains[chain] = []
    tables.chains[Chain(Table.NAT, "KUBE-SERVICES")] = ["-m addrtype --dst-type LOCAL -j KUBE-NODE-PORT"]
    tables.chains[Chain(Table.FILTER, "KUBE-PROXY-FIREWALL")] = [
        "-m set --match-set KUBE-LOAD-BALANCER-FW dst,dst -j KUBE-SOURCE-RANGES-FIREWALL"
    ]
    for chain, rule in JUMPS_OF_IPVS:
        tables.chains[chain].append(rule)
    tables.edit(reconcile.removal((*JUMPS, *JUMPS_OF_IPVS), tables.saved()))
    assert tables.chains == before


def test_removal_takes_the_kubelets_chain_away_where_no_kubelet_made_it() -> None:
    tables = Tables()
    before = {chain: list(rules) for chain, rules in tables.chains.items()}
    adopted(tables, [*PORTS])
    assert KUBELET in tables.chains
    tables.chains[KUBELET].append(PROTECTION)
    tables.edit(reconcile.removal(JUMPS, tables.saved()))
    assert tables.chains == before
    assert list(reconcile.here(tables.saved())) == []


def test_removal_leaves_rules_of_others_in_the_kubelets_chain() -> None:
    tables = Tables()
    adopted(tables, [*PORTS])
    tables.chains[KUBELET].append("-m mark --mark 0x8000/0x8000 -j DROP")
    tables.edit(reconcile.removal(JUMPS, tables.saved()))
    assert tables.chains[KUBELET] == ["-m mark --mark 0x8000/0x8000 -j DROP"]
    assert "-j KUBE-FIREWALL" in tables.chains[Chain(Table.FILTER, "INPUT")]


def test_a_chain_that_somebody_else_uses_is_not_taken_away() -> None:
    tables, mark = Tables(), Chain(Table.NAT, "KUBE-MARK-MASQ")
    adopted(tables, [*PORTS])
    tables.chains[Chain(Table.NAT, "CNI-HOSTPORT")] = ["-s 10.0.0.1/32 -j KUBE-MARK-MASQ"]
    tables.edit(reconcile.removal(JUMPS, tables.saved()))
    assert list(reconcile.here(tables.saved())) == [mark]
    assert tables.chains[mark] == [*lowering().fixed.chains[mark]]


def test_udp_destinations_that_nobody_wants_are_told() -> None:
    tables, low = Tables(), lowering()
    dns = frontends("dns", "10.96.0.9", ENDPOINTS, protocol=Protocol.UDP, port=53, node_port=30053)
    adopted(tables, [*PORTS, dns])
    found = reconcile.TableDiff(low.fixed, tables.saved())
    for port in PORTS:
        found.port(low.rules(port))
    assert set(udp_destinations(found.stale(), Family.IPV4)) == {
        Destination(Family.IPV4, ip("10.96.0.9"), 53),
        Destination(Family.IPV4, None, 30053),
    }
