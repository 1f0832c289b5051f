from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import document

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_cli.rollout.plan import effect, plan, wave_count

CRD = document(Path(__file__).parents[4] / "crds" / "proxyconfigs.yaml")
SCHEMA: Mapping[str, Any] = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
NODES = [Metadata(name=f"n{index:02}", labels={"zone": "abc"[index % 3], "pool": "edge" if index < 2 else "core"}) for index in range(12)]


def spec(**fields: Any) -> ProxyConfigSpec:
    return codec.decode(fields, ProxyConfigSpec)


def paths(schema: Mapping[str, Any], above: str = "") -> list[str]:
    leaves: list[str] = []
    for name, inner in schema["properties"].items():
        leaves += paths(inner, f"{above}{name}.") if "properties" in inner else [above + name]
    return leaves


@pytest.mark.parametrize("path", paths(SCHEMA))
def test_the_effect_of_every_field_is_known(path: str) -> None:
    assert effect(SCHEMA, path)


def test_changes_have_both_values_and_their_effect() -> None:
    found = plan("default", spec(), spec(mode="iptables", conntrack={"min": 262144}), NODES, SCHEMA)
    assert [(each.path, each.before, each.after) for each in found.changes] == [("conntrack.min", None, 262144), ("mode", None, "iptables")]
    assert found.changes[0].effect == "applied live, no restart"
    assert found.changes[1].effect.startswith("restarts the agents; Services keep working")


def test_the_name_of_a_sysctl_has_dots() -> None:
    found = plan("default", spec(), spec(kernel={"sysctls": {"net.core.somaxconn": "4096"}}), NODES, SCHEMA)
    assert [(each.path, each.after) for each in found.changes] == [("kernel.sysctls.net.core.somaxconn", "4096")]


def test_a_first_installation_has_no_waves() -> None:
    found = plan("default", None, spec(), NODES, SCHEMA)
    assert (found.waves, len(found.joining), bool(found.revision)) == (0, 12, True)


def test_what_changes_no_node_has_no_waves() -> None:
    found = plan("default", spec(), spec(rollout={"paused": True}), NODES, SCHEMA)
    assert (found.waves, found.revision, found.replaces_pods) == (0, "", False)


def test_pods_alone_go_in_waves_as_well() -> None:
    found = plan("default", spec(), spec(agent={"logLevel": "debug"}), NODES, SCHEMA)
    assert (found.waves, found.revision, found.replaces_pods) == (7, "", True)


def test_nodes_join_and_leave_with_the_selector() -> None:
    edge, core = ({"matchLabels": {"pool": pool}} for pool in ("edge", "core"))
    found = plan("default", spec(nodeSelector=edge), spec(nodeSelector=core), NODES, SCHEMA)
    assert (len(found.joining), found.leaving, found.nodes) == (10, ("n00", "n01"), 10)


@pytest.mark.parametrize(
    ("rollout", "waves"),
    [
        ({}, 1 + 6),  # a canary, then 11 nodes, 2 at once
        ({"maxUnavailable": "100%"}, 2),
        ({"maxUnavailable": 0}, 12),
        ({"canary": {"nodes": 0}, "maxUnavailable": 12}, 1),
        ({"canary": {"nodes": "50%"}, "maxUnavailable": 3}, 2 + 2),
        ({"canary": {"selector": {"matchLabels": {"pool": "edge"}}}, "maxUnavailable": 5}, 1 + 2),
        ({"canary": {"selector": {"matchLabels": {"pool": "none"}}}, "maxUnavailable": 11}, 2),
        ({"topologyKey": "zone", "maxUnavailable": 4}, 1 + 3),
    ],
)
def test_waves_are_counted(rollout: dict[str, Any], waves: int) -> None:
    assert wave_count(NODES, spec(rollout=rollout).rollout) == waves


def test_the_waves_take_at_least_the_time_that_nodes_are_held() -> None:
    found = plan("default", spec(), spec(mode="iptables", rollout={"holdPeriod": "1m"}), NODES, SCHEMA)
    assert found.least_s == found.waves * 60
