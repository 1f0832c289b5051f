"""Commands of docs/troubleshooting.md on a real API server."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests.apiserver.objects import Api, node
from tests.cluster.controlplane import ControlPlane

from proxyconfig_api.objects.names import NAMESPACE

pytestmark = pytest.mark.apiserver

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ACCOUNTS = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"


def clean_up_command() -> list[str]:
    """The words of the clean-up, without a terminal."""
    (line,) = [line for line in PAGE.read_text().splitlines() if line.startswith("kubectl debug")]
    words = [word.replace("NODE", "n1").replace("AGENT-IMAGE", "registry.test/agent:1") for word in shlex.split(line)]
    return [word for word in words[1:] if word != "-it"]


def test_the_clean_up_runs_in_the_nodes_network_with_rights_and_the_agents_state(api: Api, plane: ControlPlane) -> None:
    api.create("/api/v1/nodes", node("n1"))
    api.create(ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    try:
        plane.kubectl(*clean_up_command())
        (pod,) = [each for each in api.every(PODS) if each["metadata"]["name"].startswith("node-debugger-n1")]
    finally:
        plane.kubectl("delete", "pods", "-n", NAMESPACE, "--all", "--force", "--grace-period=0")
        api.delete(f"{ACCOUNTS}/default")
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert (spec["nodeName"], spec["hostNetwork"], container["image"]) == ("n1", True, "registry.test/agent:1")
    assert container["securityContext"]["privileged"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/host"}
    assert container["command"][-1].endswith("exec python3 -m proxyconfig_agent --cleanup")
