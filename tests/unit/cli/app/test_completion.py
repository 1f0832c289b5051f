from __future__ import annotations

import pytest

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
