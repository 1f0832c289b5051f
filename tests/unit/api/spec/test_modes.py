"""The modes that this version has: the operator, the API server's warning and `kubectl explain` name the same ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.documents import document

from proxyconfig_api.spec import modes
from proxyconfig_api.spec.modes import ORDER, HostPath, PodNeeds, candidates, is_built, pod_needs, pod_needs_of
from proxyconfig_api.spec.sections import Mode, NodePorts, ProxyConfigSpec, Takeover
from proxyconfig_api.values.cidr import ALL_ADDRESSES, NodeAddresses

ROOT = Path(__file__).parents[4]


def test_the_warning_about_a_mode_names_the_modes_that_the_operator_takes() -> None:
    policies = yaml.safe_load_all((ROOT / "manifests" / "base" / "policies.yaml").read_text())
    (policy,) = [each for each in policies if each["metadata"]["name"] == "proxyconfig-mode" and "validations" in each["spec"]]
    (rule,) = policy["spec"]["validations"]
    assert set(re.findall(r"'(\w+)'", rule["expression"])) == {mode.value for mode in Mode if is_built(mode)}
    assert "set nftables, iptables, ipvs, userspace or auto" in rule["messageExpression"]


def test_every_mode_of_the_api_is_in_this_version() -> None:
    crd: dict[str, Any] = document(ROOT / "crds" / "proxyconfigs.yaml")
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert {Mode(word) for word in spec["properties"]["mode"]["enum"]} == {mode for mode in Mode if is_built(mode)}


LOCK = HostPath("xtables-lock", "/run/xtables.lock", "FileOrCreate")
NEEDS = {
    Mode.NFTABLES: PodNeeds(),
    Mode.IPTABLES: PodNeeds(("NET_ADMIN", "NET_RAW"), (LOCK,)),
    Mode.USERSPACE: PodNeeds(("NET_ADMIN", "NET_BIND_SERVICE"), (LOCK, HostPath("more", "/run/more", "Directory"))),
}


@pytest.fixture
def three_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that has all modes but ipvs."""
    monkeypatch.setattr(modes, "BUILT", dict(reversed(NEEDS.items())))


@pytest.mark.usefixtures("three_modes")
def test_auto_may_be_every_mode_that_this_version_has_in_a_fixed_order() -> None:
    assert candidates(Mode.AUTO) == (Mode.NFTABLES, Mode.IPTABLES, Mode.USERSPACE)
    assert candidates(Mode.IPVS) == (Mode.IPVS,)
    assert (is_built(Mode.AUTO), is_built(Mode.IPVS)) == (True, False)
    assert set(ORDER) == set(Mode) - {Mode.AUTO}


@pytest.mark.usefixtures("three_modes")
def test_pods_of_auto_get_what_any_of_its_modes_needs_once() -> None:
    needs = pod_needs(Mode.AUTO)
    assert needs.capabilities == ("NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE")
    assert [each.name for each in needs.host_paths] == ["xtables-lock", "more"]
    assert [pod_needs(mode) for mode in NEEDS] == list(NEEDS.values())
    assert pod_needs(Mode.IPVS) == PodNeeds()


@pytest.mark.parametrize("mode", [*ORDER, Mode.AUTO])
def test_pods_that_observe_may_read_iptables_legacy_and_get_nothing_else(mode: Mode) -> None:
    usual, observing = pod_needs(mode), pod_needs(mode, Takeover.OBSERVE)
    assert set(observing.capabilities) == {*usual.capabilities, "NET_RAW"}
    assert observing.host_paths == usual.host_paths
    assert pod_needs(mode, Takeover.ADOPT) == usual


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, pod_needs(Mode.NFTABLES)),
        ({"takeover": "Observe"}, pod_needs(Mode.NFTABLES, Takeover.OBSERVE)),
        ({"mode": "ipvs", "takeover": "Wait"}, pod_needs(Mode.IPVS)),
        ({"mode": "ebpf"}, None),
        ({"takeover": "Later"}, None),
    ],
    ids=str,
)
def test_what_pods_need_is_read_from_a_spec_as_it_is_written(spec: dict[str, str], expected: PodNeeds | None) -> None:
    assert pod_needs_of(spec) == expected


@pytest.mark.parametrize("mode", ORDER)
def test_auto_serves_node_ports_on_the_same_addresses_whichever_mode_it_is(mode: Mode) -> None:
    assert ProxyConfigSpec(mode=Mode.AUTO).as_mode(mode).node_addresses == NodeAddresses(primary=True)
    everywhere = ProxyConfigSpec(mode=Mode.AUTO, node_ports=NodePorts(addresses=ALL_ADDRESSES))
    assert everywhere.as_mode(mode) == ProxyConfigSpec(mode=mode, node_ports=NodePorts(addresses=ALL_ADDRESSES))
