"""iptables mode's chains with virtual servers as the only endpoints, and the sets beside them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.combined.ipvs_chains import TO_SERVERS, led
from proxyconfig_agent.dataplane.combined.ipvs_entries import CLUSTER_IP, LOCAL_IPS, LOOP_BACK, NO_LOCAL, entries_of, name_of, of_port
from proxyconfig_agent.dataplane.iptables.model import chain_names, static_rules
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features
from proxyconfig_agent.dataplane.iptables.sync.reconcile import TableDiff
from proxyconfig_agent.dataplane.iptables.tools.save import parse
from proxyconfig_agent.dataplane.ipvs.lower import lower
from proxyconfig_agent.dataplane.ipvs.model.kube_proxy import SETS
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family, Policy, Protocol
from proxyconfig_agent.netlink.frames import attributes
from proxyconfig_agent.netlink.ipset_messages import Entry, entries
from proxyconfig_agent.netlink.ipset_messages import entries_of as read

NEAR, FAR = "10.244.0.1:8080", "10.244.1.1:8080"
BY_LOCAL: dict[str, Any] = {"internal_policy": Policy.LOCAL}
LEFT_BY_IPVS = """*nat
:PREROUTING ACCEPT [0:0]
:KUBE-IPVS-SERVICES - [0:0]
-A PREROUTING -j KUBE-IPVS-SERVICES
-A KUBE-IPVS-SERVICES -j ACCEPT
COMMIT
*filter
:INPUT ACCEPT [0:0]
:KUBE-IPVS-FILTER - [0:0]
-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
COMMIT
"""


def rules(*ports: str, **fields: Any) -> list[str]:
    port = led(frontends(cluster=ports, **fields))
    if port is None:
        return []
    made = TO_SERVERS.lower(port, Settings(), Features(), large=False)
    return [*(rule for _, rule in made.shared), *(rule for own in made.own.values() for rule in own)]


@pytest.mark.parametrize("fields", [{}, {**BY_LOCAL, "local": (NEAR,)}, BY_LOCAL, {"reachable": False}], ids=str)
def test_a_service_port_with_nothing_but_its_cluster_ip_has_no_rules(fields: dict[str, Any]) -> None:
    assert rules(NEAR, FAR, **fields) == []


def test_a_cluster_ip_with_policy_local_and_no_endpoint_here_is_dropped_by_a_set() -> None:
    assert of_port(frontends(cluster=(FAR,), internal_policy=Policy.LOCAL)) == {(NO_LOCAL, Entry(ip("10.96.0.10"), 6, 80))}


def test_external_addresses_lead_to_the_virtual_servers_of_both_lists() -> None:
    made = rules(NEAR, FAR, local=(NEAR,), external_policy=Policy.LOCAL, node_port=30005)
    assert [rule.rpartition(" ")[2] for rule in made if "DNAT" in rule] == ["10.96.0.10:80", "250.96.0.10:80"]


def test_endpoints_and_affinity_are_the_same_to_the_rules() -> None:
    assert rules(NEAR, node_port=30005) == rules(NEAR, FAR, node_port=30005, affinity_s=10)


def test_a_cluster_ip_among_the_external_addresses_stays_what_it_is() -> None:
    assert rules(NEAR, external_ips=(ip("10.96.0.10"),)) == []


def test_sets_have_what_the_tables_have() -> None:
    port = frontends(cluster=(NEAR, FAR), protocol=Protocol.SCTP, on_node=(ip("10.244.0.1"),))
    assert entries_of(lower(port, Settings()).elements, Family.IPV4)[CLUSTER_IP] == {Entry(ip("10.96.0.10"), 132, 80)}
    assert of_port(port) == {(LOOP_BACK, Entry(ip("10.244.0.1"), 132, 8080, ip("10.244.0.1")))}
    assert {name_of(stem, family) for stem in (CLUSTER_IP, LOCAL_IPS, LOOP_BACK) for family in Family} <= SETS


def test_entries_are_read_as_they_were_written() -> None:
    some = [Entry(ip("10.244.0.1"), 17, 53, ip("10.244.0.1")), Entry(ip("fd00::1")), Entry(ip("fd00::1"), 6, 65535)]
    assert list(read(dict(attributes(entries(some))))) == some


def test_no_rule_needs_an_extension_that_is_not_asked_for() -> None:
    made = [TO_SERVERS.fixed(Settings(), family, Features()) for family in Family]
    text = " ".join(rule for fixed in made for chains in (fixed.chains, fixed.last) for some in chains.values() for rule in some)
    text += " ".join(rules(NEAR, FAR, affinity_s=10, node_port=30000))
    assert "-m statistic" not in text
    assert "-m recent" not in text


def test_iptables_mode_takes_away_what_ipvs_mode_has_besides() -> None:
    diff = TableDiff(static_rules.fixed(Settings(), Family.IPV4, Features()), parse(LEFT_BY_IPVS.splitlines(keepends=True)))
    diff.structure()
    rest = diff.rest()
    assert {chain_names.IPVS_FILTER, chain_names.IPVS_SERVICES} <= set(rest.gone)
    assert {chain.name for chain, _ in rest.removed} == {"PREROUTING", "INPUT"}


def test_ipvs_mode_keeps_what_it_has_besides() -> None:
    diff = TableDiff(TO_SERVERS.fixed(Settings(), Family.IPV4, Features()), parse(LEFT_BY_IPVS.splitlines(keepends=True)))
    diff.structure()
    rest = diff.rest()
    assert not rest.removed
    assert chain_names.IPVS_FILTER not in rest.gone
