"""`rollout pause`, `resume` and `retry` where Git has the ProxyConfig."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.cli.apiserver import serving
from tests.unit.cli.page import cluster

from proxyconfig_cli.app.main import main

CONFIG = "/apis/proxyconfig.dev/v1alpha1/proxyconfigs/default"


def run(folder: Path, word: str, **annotations: str) -> Result:
    held = cluster("RolledBack")
    held.objects[CONFIG]["metadata"]["annotations"] = annotations
    with serving(held, folder) as kubeconfig:
        return CliRunner().invoke(main, ["rollout", word, "--kubeconfig", str(kubeconfig)])


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        ("pause", "set spec.rollout.paused there"),
        ("resume", "remove spec.rollout.paused there"),
        ("retry", "if nothing begins, change the annotation proxyconfig.dev/retry there"),
    ],
)
def test_git_may_take_a_change_back(tmp_path: Path, word: str, fix: str) -> None:
    result = run(tmp_path, word, **{"argocd.argoproj.io/tracking-id": "x"})
    warning = f"Warning: default comes from Git (Argo CD), which may write it again: {fix}\n"
    assert (result.exit_code, result.stderr) == (0, warning)


@pytest.mark.parametrize("word", ["pause", "resume", "retry"])
def test_nothing_is_said_of_a_proxyconfig_that_is_not_from_git(tmp_path: Path, word: str) -> None:
    result = run(tmp_path, word)
    assert (result.exit_code, result.stderr) == (0, "")
