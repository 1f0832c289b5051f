"""The walker finds that the rules of a mode do what the agent would do, and names the Service whose rules are broken."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from msgspec.structs import replace
from tests.support.scenarios.cases import Round, rounds_of
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.scenario import load
from tests.support.simulator.iptables.mode import IptablesMode
from tests.support.simulator.modes import SimulatedPipeline
from tests.support.simulator.nftables.mode import NftablesMode
from tests.support.simulator.node import NetnsNode
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.checks.shadow.comparison import ENDPOINTS, ENDPOINTS_WITH_AFFINITY, Compared, compared, differences
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.iptables import desired, saved
from proxyconfig_agent.checks.shadow.nftables import KubeProxyTable
from proxyconfig_agent.checks.shadow.report import shadow_of
from proxyconfig_agent.checks.walker.nftables.tables import Rule
from proxyconfig_agent.checks.walker.nftables.tables import Table as NftTable
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.table import TABLE
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import nested, text
from proxyconfig_agent.netlink.nftables import expressions as x

ROUNDS: dict[str, Round] = {}
for each in rounds_of(load(), mode="iptables"):
    ROUNDS.setdefault(each.config, each)


@dataclass
class Stage:
    """A node whose tables iptables mode has written, as a kube-proxy would."""

    mode: IptablesMode
    pipeline: SimulatedPipeline
    config: str

    def compare(self, step: int = 1) -> list[Compared]:
        """Of all Services, or one of so many."""
        theirs = {family: saved(tool.save()) for family, tool in self.mode.tools.items()}
        view, node = self.pipeline.cluster.view(), NodeAddresses(NetnsNode().addresses)
        settings = self.pipeline.settings(CONFIGS[self.config])
        return [compared(name, [*differences(view.select(name).ports, theirs, settings, node)]) for name in list(view.names())[::step]]


def stage(config: str) -> Stage:
    mode = IptablesMode()
    pipeline = SimulatedPipeline(mode, CONFIGS[config])
    pipeline.apply(ROUNDS[config].objects)
    return Stage(mode, pipeline, config)


def compare_tables(mode: NftablesMode, pipeline: SimulatedPipeline, step: int = 1) -> list[Compared]:
    """A node whose tables nftables mode has written, as a kube-proxy would: all Services, or one of so many."""
    theirs = {family: KubeProxyTable(family, table_of(mode, family)) for family in Family}
    view, node = pipeline.cluster.view(), NodeAddresses(NetnsNode().addresses)
    settings = pipeline.settings(CONFIGS["masquerade-all"])
    return [compared(name, [*differences(view.select(name).ports, theirs, settings, node)]) for name in list(view.names())[::step]]


def table_of(mode: NftablesMode, family: Family) -> NftTable:
    return mode.kernel.tables[NFPROTO[family], TABLE]


@pytest.fixture
def nftables() -> tuple[NftablesMode, SimulatedPipeline]:
    mode = NftablesMode()
    pipeline = SimulatedPipeline(mode, CONFIGS["masquerade-all"])
    pipeline.apply(ROUNDS["masquerade-all"].objects)
    return mode, pipeline


def _service_of(rule: str) -> str:
    """By its comment."""
    found = re.search(r'--comment "?([a-z0-9-]+/[a-z0-9-]+)', rule)
    return found[1] if found else ""


@pytest.mark.parametrize("config", ["default", "masquerade-all", "bridge-interface"])
def test_the_same_rules_do_the_same_in_every_configuration(config: str) -> None:
    found = stage(config).compare(step=8 if config == "default" else 1)

    assert [each for each in found if each.difference] == []
    assert shadow_of(found).score == "100%"
    assert shadow_of(found).flows > len(found)


def test_a_service_whose_rule_leads_elsewhere_is_named_and_no_other() -> None:
    there = stage("masquerade-all")
    chains = there.mode.tools[Family.IPV4].tables.chains
    chain, rules = next((chain, rules) for chain, rules in chains.items() if chain.name.startswith("KUBE-SEP-"))
    broken = _service_of(rules[-1])
    rules[-1] = rules[-1].rpartition(" ")[0] + " 192.0.2.66:66"
    assert chain.table is Table.NAT

    found = there.compare()

    (named,) = [each for each in found if each.difference]
    assert str(named.service) == broken
    assert "to ClusterIP" in named.difference
    assert shadow_of(found).score != "100%"
    assert [each.service for each in shadow_of(found).services] == [broken]


def test_a_service_that_kube_proxy_does_not_know_is_named() -> None:
    there = stage("masquerade-all")
    chains = there.mode.tools[Family.IPV4].tables.chains
    services = chains[Chain(Table.NAT, "KUBE-SERVICES")]
    gone = _service_of(services[0])
    services[:] = [rule for rule in services if _service_of(rule) != gone]

    assert gone in [str(each.service) for each in there.compare() if each.difference]


def test_a_rule_that_is_not_known_is_a_difference_and_no_failure() -> None:
    there = stage("masquerade-all")
    chains = there.mode.tools[Family.IPV4].tables.chains
    chains[Chain(Table.NAT, "KUBE-SERVICES")].insert(0, "-m set --match-set blocked src -j DROP")

    found = there.compare()

    assert "has a rule that cannot be read (--match-set" in next(each.difference for each in found if each.difference)


def test_tables_of_the_same_mode_do_the_same(nftables: tuple[NftablesMode, SimulatedPipeline]) -> None:
    found = compare_tables(*nftables)
    assert [each for each in found if each.difference] == []
    assert shadow_of(found).flows > len(found)


def test_a_service_whose_element_leads_elsewhere_is_named_and_no_other(nftables: tuple[NftablesMode, SimulatedPipeline]) -> None:
    mode, _ = nftables
    endpoints = table_of(mode, Family.IPV6).sets[sets.ENDPOINTS].elements
    key, element = next(iter(endpoints.items()))
    endpoints[key] = replace(element, value=bytes(len(element.value)))

    (named,) = [each for each in compare_tables(*nftables) if each.difference]
    assert "kube-proxy sends to :: port 0" in named.difference


def test_an_expression_that_is_not_known_is_a_difference_with_the_words_of_its_rule(
    nftables: tuple[NftablesMode, SimulatedPipeline],
) -> None:
    mode, pipeline = nftables
    limit = nested(uapi.NFTA_LIST_ELEM, text(uapi.NFTA_EXPR_NAME, "limit"))
    for family in Family:
        chain = table_of(mode, family).chains["services"]
        chain.rules = (Rule(limit + x.verdict(x.Verdict.DROP), b""), *chain.rules)

    differences = {each.difference for each in compare_tables(mode, pipeline) if each.flows}
    assert all("has a rule that cannot be read (limit is not known here, in the rule `limit immediate`)" in each for each in differences)
    assert differences


@pytest.mark.parametrize(("endpoints", "affinity_s", "flows"), [(101, 0, 2), (ENDPOINTS + 1, 0, 0), (ENDPOINTS_WITH_AFFINITY + 1, 10, 0)])
def test_ports_are_compared_as_long_as_their_endpoints_are_not_too_many(endpoints: int, affinity_s: int, flows: int) -> None:
    some = tuple(f"10.1.{number // 200}.{number % 200 + 1}:8080" for number in range(endpoints))
    port = frontends(cluster=some, affinity_s=affinity_s)
    theirs = {Family.IPV4: desired([port], Settings(), Family.IPV4)}
    assert list(differences([port], theirs, Settings(), NodeAddresses(()))) == [""] * flows
