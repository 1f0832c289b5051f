"""`kubectl proxyconfig plan` as a whole, on a server of objects."""

from __future__ import annotations

from pathlib import Path

import yaml
from click.testing import CliRunner
from tests.unit.cli.apiserver import Objects, serving
from tests.unit.cli.page import cluster, proxyconfig

from proxyconfig_api.objects.names import CONFIG_LABEL
from proxyconfig_cli.app.main import main

CONFIGS = "/apis/proxyconfig.dev/v1alpha1/proxyconfigs"


def planned(held: Objects, folder: Path, *options: str) -> str:
    with serving(held, folder) as kubeconfig:
        given = yaml.safe_dump(proxyconfig({"mode": "iptables", "priority": 1000}))
        result = CliRunner().invoke(main, ["plan", "-f", "-", "--kubeconfig", str(kubeconfig), *options], input=given)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_proxyconfig_that_cannot_be_understood_keeps_its_nodes(tmp_path: Path) -> None:
    held = cluster()
    odd = {"metadata": {"name": "odd"}, "spec": {"mode": "ipvs", "iptables": {"localhostNodePorts": True}}}
    held.objects[f"{CONFIGS}/odd"] = odd
    held.collections["/api/v1/nodes"][0]["metadata"]["labels"][CONFIG_LABEL] = "odd"
    assert "1 node stays with ProxyConfig odd, which comes first by spec.priority or age: node-1\n" in planned(held, tmp_path)


def test_a_plan_is_data_as_well(tmp_path: Path) -> None:
    found = yaml.safe_load(planned(cluster(), tmp_path, "-o", "yaml"))
    assert (found["course"], found["changing"], found["waves"], found["replaces_pods"]) == ("Waves", 6, 6, True)
