"""The modes that this version has: the operator, the API server's warning and `kubectl explain` name the same ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from proxyconfig_api.modes import is_built
from proxyconfig_api.spec import Mode

ROOT = Path(__file__).parents[3]


def test_the_warning_about_a_mode_names_the_modes_that_the_operator_takes() -> None:
    policies = yaml.safe_load_all((ROOT / "manifests" / "base" / "policies.yaml").read_text())
    (policy,) = [each for each in policies if each["metadata"]["name"] == "proxyconfig-mode" and "validations" in each["spec"]]
    (rule,) = policy["spec"]["validations"]
    assert set(re.findall(r"'(\w+)'", rule["expression"])) == {mode.value for mode in Mode if is_built(mode)}
    assert "set nftables, iptables or auto" in rule["messageExpression"]


def test_explain_names_the_modes_of_this_version_and_of_later_ones() -> None:
    crd: dict[str, Any] = yaml.safe_load((ROOT / "crds" / "proxyconfigs.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    text = spec["properties"]["mode"]["description"]
    now, later = (re.search(pattern, text) for pattern in (r"This version has (.*?)\.", r"([\w ]+) are names for later versions"))
    assert now is not None
    assert later is not None
    built = {Mode(word) for word in now[1].split(" and ")} | {Mode.AUTO}
    assert built == {mode for mode in Mode if is_built(mode)}
    assert {Mode(word) for word in later[1].strip().split(" and ")} == set(Mode) - built
