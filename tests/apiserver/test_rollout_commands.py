"""`kubectl proxyconfig rollout` on a real API server: once beside the operator and simulated nodes, else alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.apiserver.expect import is_ready
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, Api, config
from tests.apiserver.process import OperatorProcess
from tests.cluster.controlplane import ControlPlane

from proxyconfig_cli.app.main import main

pytestmark = pytest.mark.apiserver


def rollout(plane: ControlPlane, *words: str) -> Result:
    return CliRunner().invoke(main, ["rollout", *words, "--kubeconfig", str(plane.kubeconfig)])


def lines(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]


def test_a_change_is_followed_listed_and_undone(plane: ControlPlane, api: Api, fleet: Fleet, operator: OperatorProcess) -> None:  # noqa: ARG001
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/default", config("default"))
    is_ready(api, "default", 2)
    api.apply(f"{CONFIGS}/default", config("default", conntrack={"min": 262144}, rollout={"holdPeriod": "0s"}))
    followed = rollout(plane, "status", "--timeout", "150s")
    assert followed.exit_code == 0, followed.output
    assert followed.stdout.splitlines()[-1].endswith(" is healthy on 2 nodes")
    listed = lines(rollout(plane, "history"))
    assert [(line[0], line[1], line[3]) for line in listed] == [
        ("REVISION", "NODES", "CHANGES"),
        ("1", "0", "<none>"),
        ("2", "2", "conntrack.min"),
    ]
    undone = rollout(plane, "undo")
    assert undone.stdout == "proxyconfig default is as in revision 1 again; changed: conntrack.min\n"
    assert rollout(plane, "status", "--timeout", "150s").exit_code == 0
    assert [(line[0], line[1]) for line in lines(rollout(plane, "history"))[1:]] == [("2", "0"), ("3", "2")]
    assert yaml.safe_load(rollout(plane, "history", "--revision", "2").stdout) == {"conntrack": {"min": 262144}}


def test_a_rollout_is_paused_resumed_and_tried_again(plane: ControlPlane, api: Api) -> None:
    api.apply(f"{CONFIGS}/default", config("default"))
    assert rollout(plane, "pause").stdout == "proxyconfig default paused\n"
    assert api.have(f"{CONFIGS}/default")["spec"]["rollout"]["paused"] is True
    assert rollout(plane, "resume").stdout == "proxyconfig default resumed\n"
    assert api.have(f"{CONFIGS}/default")["spec"]["rollout"]["paused"] is False
    refused = rollout(plane, "retry")
    words = (
        "the rollout of default has not begun, and only one that has failed can be retried: see kubectl proxyconfig rollout status default"
    )
    assert (refused.exit_code, refused.stderr) == (1, f"Error: {words}\n")
    api.patch(f"{CONFIGS}/default/status", {"status": {"rollout": {"phase": "RolledBack"}}})
    assert rollout(plane, "retry").exit_code == 0
    assert api.have(f"{CONFIGS}/default")["metadata"]["annotations"]["proxyconfig.dev/retry"]


def test_a_failed_rollout_is_exit_code_1_with_the_operators_words(plane: ControlPlane, api: Api) -> None:
    api.apply(f"{CONFIGS}/default", config("default"))
    failed: dict[str, Any] = {"phase": "RolledBack", "revision": "default-2", "message": "n1: dns/UDP: no answer within 1 s"}
    api.patch(f"{CONFIGS}/default/status", {"status": {"observedGeneration": 1, "rollout": failed}})
    result = rollout(plane, "status")
    assert (result.exit_code, result.stderr) == (1, "Error: default: rolled back: n1: dns/UDP: no answer within 1 s\n")


def test_a_rollout_that_does_not_end_in_time_is_exit_code_1(plane: ControlPlane, api: Api) -> None:
    api.apply(f"{CONFIGS}/default", config("default"))
    result = rollout(plane, "status", "--timeout", "1ms")
    assert result.exit_code == 1
    assert "timed out after 1ms: default: waiting for the operator to see generation 1" in result.stderr
    assert rollout(plane, "status", "--watch=false").exit_code == 0


@pytest.mark.parametrize("words", [("status",), ("history",), ("pause",), ("resume",), ("retry",), ("undo",)], ids=" ".join)
def test_a_proxyconfig_that_is_not_there_is_one_sentence(plane: ControlPlane, words: tuple[str, ...]) -> None:
    result = rollout(plane, *words, "nowhere")
    assert (result.exit_code, result.stderr) == (1, "Error: there is no ProxyConfig nowhere: kubectl get kpx lists them\n")


def test_without_an_earlier_revision_there_is_nothing_to_undo(plane: ControlPlane, api: Api) -> None:
    api.apply(f"{CONFIGS}/default", config("default"))
    result = rollout(plane, "undo")
    assert (result.exit_code, result.stderr) == (1, "Error: --to-revision: there is no earlier revision to go back to, only none\n")
