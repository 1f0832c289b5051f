"""From any rules of a Service port to any others, in one input; and nothing for nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.simulator.iptables.tables import Tables
from tests.unit.agent.dataplane.iptables.listing import SETTINGS
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.iptables.delta import delta
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Features, Table
from proxyconfig_agent.dataplane.iptables.sync.reconcile import TableDiff
from proxyconfig_agent.dataplane.iptables.sync.renderer import RuleRenderer
from proxyconfig_agent.ingest.model import Family, Policy
from proxyconfig_agent.select.frontends import Frontends

ENDPOINTS = ("10.244.0.11:8080", "10.244.0.12:8080", "10.244.1.13:8080")
SERVICES = Chain(Table.NAT, "KUBE-SERVICES")


def ports(number: int) -> st.SearchStrategy[Frontends | None]:
    """One Service port in all its variety, or none; `number` tells it from others."""

    def made(**fields: Any) -> Frontends:
        local = tuple(endpoint for endpoint in fields.pop("local") if endpoint in fields["cluster"])
        return frontends(f"web-{number}", f"10.96.0.{number}", local=local, **fields)

    some = st.builds(
        made,
        cluster=st.lists(st.sampled_from(ENDPOINTS), unique=True).map(tuple),
        local=st.lists(st.sampled_from(ENDPOINTS[:2]), unique=True).map(tuple),
        external_ips=st.sampled_from([(), (ip(f"192.0.2.{number}"),)]),
        load_balancer_ips=st.sampled_from([(), (ip(f"203.0.113.{number}"),), (ip(f"203.0.113.{number}"), ip(f"203.0.114.{number}"))]),
        node_port=st.sampled_from([0, 30000 + number]),
        health_check_node_port=st.sampled_from([0, 32000 + number]),
        internal_policy=st.sampled_from(Policy),
        external_policy=st.sampled_from(Policy),
        affinity_s=st.sampled_from([0, 60]),
        source_ranges=st.sampled_from([(), (network("10.0.0.0/8"),)]),
    )
    return st.none() | some


def lowering() -> RuleRenderer:
    return RuleRenderer(Family.IPV4, SETTINGS, Features(counters=True))


def adopted(tables: Tables, wanted: list[Frontends | None]) -> int:
    """Bring the tables to the desired state, as a full resync does; how much there was to do."""
    low = lowering()
    adoption, operations = TableDiff(low.fixed, tables.saved()), 0
    for edits in (adoption.structure(), *(adoption.port(low.rules(port)) for port in wanted)):
        tables.edit(edits, low.fixed.last)
        operations += len(edits)
    rest = adoption.rest()
    tables.edit(rest, low.fixed.last)
    return operations + len(rest)


def contents(tables: Tables) -> dict[Chain, list[str]]:
    """The rules; those of different Service ports are in no order."""
    return {chain: sorted(rules) for chain, rules in tables.chains.items()}


@given(ports(1))
def test_nothing_is_done_for_nothing(port: Frontends | None) -> None:
    rules = lowering().rules(port)
    assert len(delta(rules, rules)) == 0


@given(ports(1), ports(2), ports(1))
def test_a_change_leads_to_what_a_fresh_start_would_have_made(
    old: Frontends | None, other: Frontends | None, new: Frontends | None
) -> None:
    changed, fresh, low = Tables(), Tables(), lowering()
    adopted(changed, [old, other])
    changed.edit(delta(low.rules(old), low.rules(new)), low.fixed.last)
    adopted(fresh, [new, other])
    assert {chain: sorted(rules) for chain, rules in changed.chains.items()} == {
        chain: sorted(rules) for chain, rules in fresh.chains.items()
    }
    assert adopted(changed, [new, other]) == 0


@given(ports(1), ports(2), ports(1), ports(3))
def test_a_resync_leads_from_anything_to_what_is_wanted(
    old: Frontends | None, other: Frontends | None, new: Frontends | None, more: Frontends | None
) -> None:
    tables = Tables()
    adopted(tables, [old, other])
    adopted(tables, [new, more])
    fresh = Tables()
    adopted(fresh, [new, more])
    assert {chain: sorted(rules) for chain, rules in tables.chains.items()} == {
        chain: sorted(rules) for chain, rules in fresh.chains.items()
    }
    assert adopted(tables, [new, more]) == 0


def test_the_jump_to_node_ports_stays_last() -> None:
    tables, low = Tables(), lowering()
    first, second = (frontends(f"web-{number}", f"10.96.0.{number}", ENDPOINTS[:1]) for number in (1, 2))
    adopted(tables, [first])
    tables.edit(delta(low.rules(None), low.rules(second)), low.fixed.last)
    assert len(tables.chains[SERVICES]) == 3
    assert tables.chains[SERVICES][-1].endswith("-j KUBE-NODEPORTS")


def test_an_endpoint_change_writes_the_chains_of_its_service_and_nothing_shared() -> None:
    low = lowering()
    edits = delta(low.rules(frontends(cluster=ENDPOINTS[:2])), low.rules(frontends(cluster=ENDPOINTS[1:])))
    assert not edits.removed
    assert not edits.added
    assert [chain.name[:8] for chain in edits.chains] == ["KUBE-SVC", "KUBE-SEP"]
    assert [chain.name[:8] for chain in edits.gone] == ["KUBE-SEP"]
