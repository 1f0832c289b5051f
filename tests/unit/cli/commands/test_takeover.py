"""Nodes go from kube-proxy to a ProxyConfig and back, by the command, on an API server whose nodes get agents with their turn."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.unit.cli.apiserver import Objects, serving
from tests.unit.cli.page import TAKEOVER, cluster, proxyconfig

from proxyconfig_cli.app.main import main
from proxyconfig_cli.takeover import affinity
from proxyconfig_cli.takeover.turns import TURN_LABEL

DAEMONSET = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
CONFIG = "/apis/proxyconfig.dev/v1alpha1/proxyconfigs/default"


def run(held: Objects, folder: Path, *words: str) -> Result:
    (folder / "takeover.yaml").write_text(yaml.safe_dump(proxyconfig(TAKEOVER)))
    with serving(held, folder) as kubeconfig:
        return CliRunner().invoke(main, ["takeover", *words, "--kubeconfig", str(kubeconfig)])


def start(held: Objects, folder: Path) -> Result:
    return run(held, folder, "start", "-f", str(folder / "takeover.yaml"))


def test_all_nodes_are_taken_over_and_no_trace_of_their_turns_is_left(tmp_path: Path) -> None:
    held = cluster()

    result = start(held, tmp_path)

    assert result.exit_code == 0, result.output
    assert affinity.is_there(held.objects[DAEMONSET])
    assert all(TURN_LABEL not in node["metadata"]["labels"] for node in held.collections["/api/v1/nodes"])
    assert held.objects[CONFIG]["spec"]["mode"] == "iptables"
    assert held.objects[CONFIG]["spec"]["takeover"] == "Wait", "written out: another field manager may have written Observe"


def test_nothing_is_changed_where_somebody_else_writes_the_daemonset(tmp_path: Path) -> None:
    held = cluster()
    held.objects[DAEMONSET]["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    written: list[str] = []
    held.written = written.append

    result = start(held, tmp_path)

    assert result.exit_code == 1
    assert "comes from Helm: put this affinity there" in result.output
    assert "operator: DoesNotExist" in result.output
    assert written == []


@pytest.mark.parametrize(("words", "policy"), [((), "Keep"), (("--remove",), "Remove")])
@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_undo_says_what_becomes_of_the_rules_and_deletes_the_proxyconfig(
    tmp_path: Path, words: tuple[str, ...], policy: str, mode: str
) -> None:
    held = cluster()
    held.objects[CONFIG]["spec"] = {**TAKEOVER, "mode": mode}
    kept: list[object] = []
    held.written = lambda path: kept.append(held.objects[path]["spec"].get("removalPolicy") if path in held.objects else "gone")

    result = run(held, tmp_path, "undo", *words)

    assert result.exit_code == 0, result.output
    assert kept == [policy, "gone"]
    assert CONFIG not in held.objects


@pytest.mark.parametrize(
    ("words", "fix"),
    [(("undo",), "delete it there"), (("start", "-f", "takeover.yaml"), "suspend it there until all nodes are taken over")],
    ids=["undo", "start"],
)
def test_git_may_write_the_proxyconfig_again(tmp_path: Path, words: tuple[str, ...], fix: str) -> None:
    held = cluster()
    held.objects[CONFIG]["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "proxy"}

    result = run(held, tmp_path, *(str(tmp_path / word) if word == "takeover.yaml" else word for word in words))

    assert result.stderr.splitlines()[0] == f"Warning: default comes from Git (Flux), which may write it again: {fix}"


@pytest.mark.parametrize(
    ("shadow", "line"),
    [
        ({"nodes": 1}, "compared with kube-proxy on 1 node: no rules of kube-proxy found"),
        (
            {"nodes": 3, "score": "98%", "flows": 100, "matching": 98, "differing": 2},
            "compared with kube-proxy on 3 nodes: 98% of all flows match, 2 Services differ",
        ),
    ],
    ids=["without rules", "with rules"],
)
def test_status_has_what_nodes_that_observe_have_found(tmp_path: Path, shadow: dict[str, object], line: str) -> None:
    held = cluster()
    held.objects[CONFIG]["status"] = {"shadow": shadow}

    result = run(held, tmp_path, "status")

    assert result.exit_code == 0, result.output
    assert line in result.output.splitlines()
