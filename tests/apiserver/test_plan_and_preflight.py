"""`kubectl proxyconfig plan` and `preflight` on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.apiserver.objects import CONFIGS, NODES, Api, config, node
from tests.cluster.controlplane import ControlPlane

from proxyconfig_cli.app.main import main

pytestmark = pytest.mark.apiserver

SERVICES, MAPS = "/api/v1/namespaces/default/services", "/api/v1/namespaces/kube-system/configmaps"


@pytest.fixture(autouse=True)
def _clean(api: Api) -> Iterator[None]:
    yield
    for path in (f"{SERVICES}/shop", f"{MAPS}/kube-proxy"):
        api.delete(path)


def invoke(plane: ControlPlane, *words: str, given: Any = None) -> Result:
    text = None if given is None else yaml.safe_dump(given)
    return CliRunner().invoke(main, [words[0], "--kubeconfig", str(plane.kubeconfig), *words[1:]], input=text)


def join(api: Api, name: str, kernel: str = "6.1.0") -> None:
    api.create(NODES, node(name))
    api.patch(f"{NODES}/{name}/status", {"status": {"nodeInfo": {**_INFO, "kernelVersion": kernel}}})


_INFO = dict.fromkeys(
    ("architecture", "bootID", "containerRuntimeVersion", "kubeProxyVersion", "kubeletVersion", "machineID", "osImage", "systemUUID"), "x"
) | {"operatingSystem": "linux"}


def test_a_plan_shows_fields_nodes_and_waves_and_changes_nothing(plane: ControlPlane, api: Api) -> None:
    for name in ("n1", "n2", "n3"):
        join(api, name)
    first = invoke(plane, "plan", "-f", "-", given=config("default", rollout={}))
    assert first.stdout.splitlines()[1].startswith("3 nodes join: n1, n2, n3")
    api.apply(f"{CONFIGS}/default", config("default", rollout={}))
    result = invoke(plane, "plan", "-f", "-", given=config("default", mode="iptables", rollout={}))
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=3) for line in result.stdout.splitlines()]
    assert lines[1][:3] == ["mode", "<default>", "iptables"]
    assert "and new pods go to 3 nodes in 3 waves, which take 30s or longer" in result.stdout
    assert api.have(f"{CONFIGS}/default")["spec"]["mode"] == "nftables"
    assert invoke(plane, "plan", "-f", "-", given=config("default", rollout={})).stdout == "default: nothing changes\n"


def test_a_plan_that_the_api_server_refuses_is_one_sentence(plane: ControlPlane) -> None:
    quantities = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
    result = invoke(plane, "plan", "-f", "-", given=config("default", agent={"resources": quantities}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "must not exceed limits" in result.stderr
    assert not api_has_config(plane)


def api_has_config(plane: ControlPlane) -> bool:
    return "default" in plane.kubectl("get", "proxyconfigs.proxyconfig.dev", "-o", "name")


def test_preflight_names_services_and_nodes(plane: ControlPlane, api: Api) -> None:
    join(api, "old", "5.4.0-42-generic")
    join(api, "new")
    ports = [{"port": 80, "nodePort": 30080}]
    api.create(
        SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {"type": "NodePort", "ports": ports}}
    )
    text = {"config.conf": "mode: iptables"}
    api.create(MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-proxy"}, "data": text})
    result = invoke(plane, "preflight", "-f", "-", given=config("default"))
    assert result.exit_code == 1
    assert "Problem KernelTooOld: old (5.4.0-42-generic): the kernel is older than Linux 5.15, which mode nftables needs" in result.stdout
    assert "Change LocalhostNodePorts: default/shop: node ports are no longer served on 127.0.0.1" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("2 nodes, 2 Services, iptables to nftables: 1 problem, ")


def test_preflight_without_a_problem_is_exit_code_0(plane: ControlPlane, api: Api, tmp_path: Path) -> None:
    join(api, "new")
    (tmp_path / "config.conf").write_text("mode: nftables")
    result = invoke(plane, "preflight", "--kube-proxy", str(tmp_path / "config.conf"), "-o", "yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    (finding,) = yaml.safe_load(result.stdout)
    assert (finding["severity"], finding["check"], finding["objects"]) == ("Note", "NoAgent", ["new"])
