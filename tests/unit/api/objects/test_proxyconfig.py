from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.crds.refusals import ACCEPTED, NAME, REFUSALS, Refusal

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec
from proxyconfig_api.values.cidr import ALL_ADDRESSES, NodeAddresses


def parse(spec: dict[str, Any], name: str = NAME) -> ProxyConfig:
    return ProxyConfig.parse({"metadata": {"name": name}, "spec": spec})


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_contradicts_itself_is_refused_with_field_and_fix(refusal: Refusal) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse(refusal.spec)
    assert [
        problem for problem in caught.value.problems if problem.field.startswith(refusal.field) and refusal.parser_says in problem.fix
    ], str(caught.value)


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_makes_sense_is_accepted(spec: dict[str, Any]) -> None:
    parse(spec)


def test_all_problems_of_a_spec_are_told_at_once() -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse({"mode": "ipvs", "iptables": {}, "kernel": {"modules": ["-x"]}, "sync": {"fullSyncPeriod": "0s"}})
    assert [problem.field for problem in caught.value.problems] == ["spec.iptables", "spec.kernel.modules[0]", "spec.sync.fullSyncPeriod"]


def test_a_name_that_leaves_no_room_for_a_hash_is_refused() -> None:
    assert parse({}, "a" * 52).metadata.name == "a" * 52
    with pytest.raises(InvalidSpec, match=r"metadata\.name: must be at most 52 characters"):
        parse({}, "a" * 53)


def test_an_empty_spec_means_all_nodes_in_nftables_mode() -> None:
    config = parse({})
    assert config.spec == ProxyConfigSpec()
    assert config.spec.mode is Mode.NFTABLES
    assert config.spec.node_selector.matches({"any": "node"})


def test_fields_that_are_not_known_are_ignored() -> None:
    assert parse({"conntrack": {"laterField": 1}, "laterSection": {}}).spec == ProxyConfigSpec()


def test_json_is_parsed_as_dicts_are() -> None:
    assert ProxyConfig.parse(b'{"metadata":{"name":"example"},"spec":{"priority":3}}') == parse({"priority": 3})


def test_a_document_that_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="document: must be JSON"):
        ProxyConfig.parse(b"spec: {}")


def test_a_spec_is_needed() -> None:
    with pytest.raises(InvalidSpec, match="spec"):
        ProxyConfig.parse({"metadata": {"name": NAME}})


@pytest.mark.parametrize(
    ("spec", "addresses"),
    [
        pytest.param({}, NodeAddresses(primary=True), id="nftables"),
        pytest.param({"mode": "iptables"}, ALL_ADDRESSES, id="iptables"),
        pytest.param({"mode": "iptables", "nodePorts": {"addresses": ["primary"]}}, NodeAddresses(primary=True), id="as-written"),
    ],
)
def test_the_mode_decides_which_addresses_serve_node_ports_by_default(spec: dict[str, Any], addresses: NodeAddresses) -> None:
    assert parse(spec).spec.node_addresses == addresses
