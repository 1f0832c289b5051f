from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import document

from proxyconfig_api.encoding import codec
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_cli.rollout.effects import effect, planned_changes

CRD = document(Path(__file__).parents[4] / "crds" / "proxyconfigs.yaml")
SCHEMA: Mapping[str, Any] = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


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
    found = planned_changes(spec(), spec(mode="iptables", conntrack={"min": 262144}), SCHEMA)
    assert [(each.path, each.before, each.after) for each in found] == [("conntrack.min", None, 262144), ("mode", None, "iptables")]
    assert found[0].effect == "applied live, no restart"
    assert found[1].effect.startswith("restarts the agents; Services keep working")


def test_the_name_of_a_sysctl_has_dots() -> None:
    found = planned_changes(spec(), spec(kernel={"sysctls": {"net.core.somaxconn": "4096"}}), SCHEMA)
    assert [(each.path, each.after) for each in found] == [("kernel.sysctls.net.core.somaxconn", "4096")]
