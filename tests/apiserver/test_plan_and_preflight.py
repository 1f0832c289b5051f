"""`kubectl proxyconfig plan` and `preflight` on a real API server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.apiserver.expect import is_ready, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, NODES, PROXIES, Api, config, node
from tests.cluster.controlplane import ControlPlane

from proxyconfig_cli.app.main import main

pytestmark = pytest.mark.apiserver

SERVICES, MAPS = "/api/v1/namespaces/default/services", "/api/v1/namespaces/kube-system/configmaps"


@pytest.fixture(autouse=True)
def _clean(api: Api) -> Iterator[None]:
    for path in (CONFIGS, PROXIES):
        api.names(path)  # which waits for a server that has just been given CRDs
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


def test_a_plan_shows_fields_and_nodes_and_changes_nothing(plane: ControlPlane, api: Api) -> None:
    for name in ("n1", "n2", "n3"):
        join(api, name)
    first = invoke(plane, "plan", "-f", "-", given=config("default", rollout={}))
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[1].startswith("3 nodes join: n1, n2, n3")
    api.apply(f"{CONFIGS}/default", config("default", rollout={}))
    result = invoke(plane, "plan", "-f", "-", given=config("default", mode="iptables", rollout={}))
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=3) for line in result.stdout.splitlines()]
    assert lines[1][:3] == ["mode", "<default>", "iptables"]
    assert "goes to 3 nodes at once: there is nothing to go back to yet" in result.stdout, "no operator has given them anything"
    assert api.have(f"{CONFIGS}/default")["spec"]["mode"] == "nftables"
    assert invoke(plane, "plan", "-f", "-", given=config("default", rollout={})).stdout == "default: nothing changes\n"


def said(plane: ControlPlane, **spec: Any) -> str:
    """The last sentence of a plan without the name of the revision: how its nodes get it."""
    result = invoke(plane, "plan", "-f", "-", given=config("default", **spec))
    assert result.exit_code == 0, result.output
    return re.sub(r"default-[0-9a-f]{10}", "R", result.stdout.splitlines()[-1])


@pytest.mark.usefixtures("operator")
def test_what_a_plan_says_is_what_the_operator_does(plane: ControlPlane, api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2", "n3", "n4")
    fleet.join("e1", "e2", pool="edge")
    fleet.join("w1", "w2", **{"kubernetes.io/os": "windows"})
    api.apply(f"{CONFIGS}/edge", config("edge", priority=1, nodeSelector={"matchLabels": {"pool": "edge"}}))
    waves = {"holdPeriod": "0s", "maxUnavailable": 1}
    api.apply(f"{CONFIGS}/default", config("default", rollout=waves))
    is_ready(api, "default", 4)
    is_ready(api, "edge", 2)

    minimum = {"conntrack": {"min": 262144}, "rollout": waves}
    assert said(plane, **minimum) == "Revision R goes to 4 nodes in 4 waves, which take 0s or longer"
    api.apply(f"{CONFIGS}/default", config("default", **minimum))
    assert is_ready(api, "default", 4)["rollout"]["waves"] == 4

    debug = minimum | {"agent": {"logLevel": "debug"}}
    assert said(plane, **debug) == "New pods go to 4 nodes in 4 waves, which take 0s or longer"
    fleet.die("n4")
    down = "; 1 node that is down or not ready gets that afterwards: n4"
    assert said(plane, **debug) == f"New pods go to 3 nodes in 3 waves, which take 0s or longer{down}"
    api.apply(f"{CONFIGS}/default", config("default", **debug))
    assert phase(api, "Complete")["waves"] == 3


@pytest.mark.usefixtures("operator")
def test_after_a_rollback_a_plan_counts_what_nodes_have(plane: ControlPlane, api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2", "n3")
    waves = {"holdPeriod": "0s", "maxUnavailable": 1}
    api.apply(f"{CONFIGS}/default", config("default", rollout=waves))
    is_ready(api, "default", 3)
    fleet.going_back |= {"n1", "n2", "n3"}
    api.apply(f"{CONFIGS}/default", config("default", rollout=waves, mode="iptables"))
    phase(api, "RolledBack")
    assert said(plane, rollout=waves) == "Revision R goes to no node: 3 nodes have that already"
    other = {"mode": "iptables", "conntrack": {"min": 262144}}
    assert said(plane, rollout=waves, **other) == "Revision R and new pods go to 3 nodes in 3 waves, which take 0s or longer"
    paused = said(plane, rollout=waves | {"paused": True}, **other)
    assert paused.startswith(
        "Revision R and new pods go to no node while spec.rollout.paused is true; when it is resumed, to 3 nodes in 3 waves"
    )

    orders = [each["metadata"]["generation"] for each in api.every(PROXIES)]
    api.apply(f"{CONFIGS}/default", config("default", rollout=waves))
    is_ready(api, "default", 3)
    assert phase(api, "Complete")["previousRevision"]
    assert [each["metadata"]["generation"] for each in api.every(PROXIES)] == orders


def phase(api: Api, name: str) -> Any:
    """The rollout of the newest generation once it is in a phase."""

    def reached() -> Any:
        found = api.have(f"{CONFIGS}/default")
        status = found["status"]
        assert status["observedGeneration"] == found["metadata"]["generation"]
        assert status["rollout"]["phase"] == name, status["rollout"]
        return status["rollout"]

    return soon(reached)


def test_a_plan_names_the_selector_that_selects_no_node(plane: ControlPlane, api: Api) -> None:
    join(api, "n1")
    none = said(plane, nodeSelector={"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a", "b"]}]})
    assert none == "default gets no node: spec.nodeSelector (pool in (a,b)) selects none of 1 Linux node"


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
