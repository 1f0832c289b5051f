from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from tests.unit.cli.apiserver import serving
from tests.unit.cli.page import cluster

from proxyconfig_cli.app.completion import completions


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["impo"], ["import\tkube-proxy's configuration as a ProxyConfig", ":4"]),
        (["import", "--from", "config"], ["configmap", "configz", ":4"]),
        (["import", "--kubec"], ["--kubeconfig\tKubeconfig file  [default: $KUBECONFIG, else ~/.kube/config]", ":4"]),
        (["import", "-f", ""], [":0"]),
    ],
)
def test_kubectl_is_given_candidates_as_cobra_writes_them(words: list[str], lines: list[str]) -> None:
    assert completions(words) == lines


def test_all_commands_are_candidates_of_nothing() -> None:
    assert any(line.startswith("import") for line in completions([]))


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(cluster(), tmp_path_factory.mktemp("cluster")) as path:
        yield str(path)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["rollout", "pause", ""], ["default", ":4"]),
        (["takeover", "undo", "de"], ["default", ":4"]),
        (["takeover", "status", "edge"], [":4"]),
        (["import", "--node", "node-"], [*(f"node-{index}" for index in range(1, 7)), ":4"]),
        (["import", "--from", "configz", "--configz-node", "node-3"], ["node-3", ":4"]),
        (["rollout", "undo", "--to-revision", ""], ["1", "2\tconntrack.min", ":4"]),
        (["rollout", "history", "default", "--revision", "2"], ["2\tconntrack.min", ":4"]),
        (["rollout", "history", "edge", "--revision", ""], [":4"]),
        (["rollout", "undo", "--dry-run", "edge", "--to-revision", "1"], [":4"]),
    ],
    ids=" ".join,
)
def test_names_are_those_of_the_cluster(kubeconfig: str, monkeypatch: pytest.MonkeyPatch, words: list[str], lines: list[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    assert completions(words) == lines


def test_names_are_those_of_the_cluster_that_the_command_line_names(kubeconfig: str) -> None:
    assert completions(["rollout", "pause", "--kubeconfig", kubeconfig, ""]) == ["default", ":4"]
    assert completions(["rollout", "pause", "--kubeconfig", kubeconfig, "--context", "nowhere", ""]) == [":4"]


@pytest.mark.parametrize("server", ["http://127.0.0.1:1", "http://nowhere.invalid", "", "ftp://x"])
def test_a_cluster_that_does_not_answer_has_no_names_and_nothing_is_said(
    tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, {"server": server}, {})
    assert completions(["rollout", "pause", "--kubeconfig", path, ""]) == [":4"]
    assert completions(["rollout", "pause", "--kubeconfig", str(tmp_path / "none"), ""]) == [":4"]
    assert capfd.readouterr() == ("", "")


def test_a_program_for_credentials_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sleep", "args": ["60"]}}
    path = written(tmp_path, {"server": "http://127.0.0.1:1"}, user)
    argv = [str(Path(sys.executable).with_name("kubectl_complete-proxyconfig")), "rollout", "pause", "--kubeconfig", path, ""]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert process.wait(timeout=40) == 0
        assert process.stdout.readline() == ":4\n"


def written(folder: Path, cluster: Mapping[str, object], user: Mapping[str, object]) -> str:
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    made = {"current-context": "c", "contexts": [context], "clusters": [{"name": "c", "cluster": cluster}]}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump({**made, "users": [{"name": "u", "user": user}]}))
    return str(path)
