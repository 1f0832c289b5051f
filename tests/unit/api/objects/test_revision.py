from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from tests.unit.api.spec.specs import specs

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.objects.revision import parse_revision, revision_of, written
from proxyconfig_api.spec.sections import ProxyConfigSpec


def spec_of(spec: dict[str, Any]) -> ProxyConfigSpec:
    return codec.decode(spec, ProxyConfigSpec)


def name_of(spec: dict[str, Any]) -> str:
    return revision_of("edge", spec_of(spec)).name


FULL = {
    "mode": "auto",
    "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "2h"},
    "kernel": {"modules": ["br_netfilter"], "sysctls": {"net.core.somaxconn": "4096", "net.ipv4.ip_forward": "1"}},
    "localTraffic": {"clusterCIDRs": ["10.0.0.0/8", "fd00::/8"]},
    "nodePorts": {"addresses": ["primary"]},
    "sync": {"driftCheckPeriod": "5s"},
}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({}, {"mode": "nftables", "conntrack": {"min": 131072, "tcpEstablishedTimeout": "24h0m0s"}}, id="defaults-written-out"),
        pytest.param({}, {"sync": {}, "kernel": {}}, id="empty-sections"),
        pytest.param({"sync": {"minSyncPeriod": "90s"}}, {"sync": {"minSyncPeriod": "1m30s"}}, id="durations"),
        pytest.param({"localTraffic": {"clusterCIDRs": ["FD00::/8"]}}, {"localTraffic": {"clusterCIDRs": ["fd00:0::1/8"]}}, id="cidrs"),
        pytest.param(
            {},
            {
                "priority": 7,
                "rollout": {"paused": True, "maxUnavailable": 3},
                "nodeSelector": {"matchLabels": {"a": "b"}},
                "agent": {"image": "x"},
            },
            id="not-of-nodes",
        ),
        pytest.param(
            {"kernel": {"sysctls": {"net.a": "1", "net.b": "2"}}}, {"kernel": {"sysctls": {"net.b": "2", "net.a": "1"}}}, id="order-of-keys"
        ),
    ],
)
def test_specs_that_mean_the_same_for_nodes_have_one_revision(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert name_of(one) == name_of(other)


@pytest.mark.parametrize("section", sorted(FULL))
def test_each_section_of_nodes_makes_another_revision(section: str) -> None:
    assert name_of({section: FULL[section]}) != name_of({})


def test_a_revision_reads_back_as_the_same_revision() -> None:
    revision = revision_of("edge", spec_of(FULL))
    for content in (revision.content, msgspec.json.encode(revision.content)):
        spec = parse_revision(content)
        assert spec == spec_of(FULL)
        assert revision_of("edge", spec) == revision


def test_the_name_is_the_config_and_a_hash_and_stays_over_releases() -> None:
    assert name_of({}) == "edge-44136fa355"
    assert len(revision_of("a" * 52, ProxyConfigSpec()).name) == 63


def test_a_revision_holds_only_what_differs_from_the_defaults() -> None:
    assert revision_of("edge", spec_of({"conntrack": {"min": 1}, "priority": 4})).content == {"spec": {"conntrack": {"min": 1}}}


@given(specs)
def test_a_spec_means_the_same_after_it_was_written(spec: dict[str, Any]) -> None:
    parsed = ProxyConfig.parse({"metadata": {"name": "edge"}, "spec": spec})
    text = msgspec.json.encode(codec.builtins(parsed))
    assert ProxyConfig.parse(text) == parsed


@given(specs, specs)
def test_revisions_are_equal_exactly_when_nodes_do_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = (parse_revision(revision_of("edge", spec_of(spec)).content) for spec in (one, other))
    assert (revision_of("edge", first) == revision_of("edge", second)) == (first == second)
    assert revision_of("edge", first) == revision_of("edge", spec_of(one))


def test_what_is_written_is_what_differs_from_the_defaults() -> None:
    assert written(spec_of({})) == written(spec_of({"nftables": {}, "rollout": {"canary": {}}})) == {}
    same = {"mode": "ipvs", "conntrack": {"min": 131072, "maxPerCore": 1}, "ipvs": {"scheduler": "rr", "strictARP": True}}
    assert written(spec_of(same)) == {"conntrack": {"maxPerCore": 1}, "mode": "ipvs", "ipvs": {"strictARP": True}}
    canary = {"rollout": {"canary": {"selector": {"matchLabels": {"pool": "edge"}}}}}
    assert written(spec_of(canary)) == canary
