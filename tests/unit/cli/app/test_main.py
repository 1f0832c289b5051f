"""Use, errors and exit codes, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from proxyconfig_cli.app.main import main


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


@pytest.mark.parametrize("words", [words for words, _ in commands(main)], ids=" ".join)
def test_every_command_has_help_with_examples(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*words, "-h"], prog_name="kubectl proxyconfig")
    assert result.exit_code == 0
    assert f"kubectl proxyconfig {' '.join(words)}" in result.output.partition("Examples:")[2]


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["import", "--from", "nowhere"],
        ["import", "--from", "file"],
        ["import", "--from", "configz"],
        ["import", "--", "--proxy-mode=ipvs"],
        ["import", "--from", "flags", "--", "--config=/etc/kube-proxy.conf"],
        ["import", "--from", "flags", "--", "proxy-mode", "ipvs"],
        ["import", "--name", "Bad_Name", "--from", "flags", "--", "-v=1"],
        ["import", "--name", "n" * 53, "--from", "flags", "--", "-v=1"],
        ["import", "--name", "", "--from", "flags", "--", "-v=1"],
        ["import", "--node", "a b", "--from", "flags", "--", "-v=1"],
    ],
)
def test_wrong_use_is_exit_code_2(words: list[str]) -> None:
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kubeconfig", "/nowhere"], "Error: cannot read the kubeconfig /nowhere: No such file or directory\n"),
        (
            ["--from", "file", "-f", "FILE"],
            "Error: mode: must be iptables, ipvs or nftables, kube-proxy's modes on Linux, not kernelspace\n",
        ),
    ],
)
def test_a_failure_is_one_sentence_and_exit_code_1(tmp_path: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "FILE").write_text("mode: kernelspace")
    result = CliRunner().invoke(main, ["import", *(str(tmp_path / word) if word == "FILE" else word for word in words)])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", sentence)


def test_notes_go_to_standard_error_and_the_object_to_standard_output() -> None:
    result = CliRunner().invoke(main, ["import", "-o", "json", "--from", "flags", "--", "--oom-score-adj=0"])
    assert result.stderr == "oomScoreAdj (0): not carried over: the priority class system-node-critical sets it for the agents' pods\n"
    assert result.stdout.startswith('{\n    "apiVersion": "proxyconfig.dev/v1alpha1"')
