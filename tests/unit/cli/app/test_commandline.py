"""Command lines as people write them for kubectl."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.unit.cli.apiserver import serving
from tests.unit.cli.page import cluster

from proxyconfig_cli.app.commandline import as_click
from proxyconfig_cli.app.completion import completions
from proxyconfig_cli.app.main import main


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("rollout status -w", "rollout status --watch=true"),
        ("rollout status -w edge", "rollout status --watch=true edge"),
        ("rollout status -w=false", "rollout status --watch=false"),
        ("rollout status --watch --timeout 1s", "rollout status --watch=true --timeout 1s"),
        ("rollout history -o=json -n=x", "rollout history -ojson -nx"),
        ("--context x rollout status", "rollout status --context x"),
        ("--context=x -n y --kubeconfig z plan -f a", "plan --context=x -n y --kubeconfig z -f a"),
        ("-ny takeover --context x status edge", "takeover status -ny --context x edge"),
        ("--context x import --from flags -- -v=1 --context=y -w", "import --context x --from flags -- -v=1 --context=y -w"),
        ("--context x", ""),
        ("--context x nonsense", "nonsense"),
        ("--version", "--version"),
        ("rollout -h", "rollout -h"),
    ],
)
def test_a_command_line_of_kubectl_is_one_of_click(line: str, same: str) -> None:
    assert as_click(line.split(), main) == same.split()


@pytest.mark.parametrize("words", ["rollout status -w=false", "takeover status", "rollout history"])
def test_flags_for_all_commands_may_stand_before_the_command(tmp_path: Path, words: str) -> None:
    with serving(cluster(), tmp_path) as kubeconfig:
        before = CliRunner().invoke(main, ["--kubeconfig", str(kubeconfig), *words.split()])
        after = CliRunner().invoke(main, [*words.split(), "--kubeconfig", str(kubeconfig)])
    assert (before.exit_code, before.output) == (0, after.output)


def test_completion_knows_flags_before_the_command(tmp_path: Path) -> None:
    with serving(cluster(), tmp_path) as kubeconfig:
        assert completions(["--kubeconfig", str(kubeconfig), "rollout", "pause", ""]) == ["default", ":4"]
    assert "status\thow far it is; waits for its end" in completions(["--context", "x", "rollout", "st"])


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_how_far_a_rollout_is_can_be_read_by_programs(tmp_path: Path, output: str) -> None:
    with serving(cluster(), tmp_path) as kubeconfig:
        words = ["rollout", "status", "-w=false", f"-o={output}", "--kubeconfig", str(kubeconfig)]
        printed = CliRunner().invoke(main, words).stdout
    found = json.loads(printed) if output == "json" else yaml.safe_load(printed)
    assert (found["outcome"], found["nodes"]) == ("underway", {"desired": 6, "updated": 2, "ready": 6})
    assert found["message"] == "default: 2 of 6 nodes updated, 6 ready, wave 2 of 6"
    assert found["rollout"]["phase"] == "Progressing"


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_how_far_a_takeover_is_can_be_read_by_programs(tmp_path: Path, output: str) -> None:
    with serving(cluster(), tmp_path) as kubeconfig:
        printed = CliRunner().invoke(main, ["takeover", "status", "-o", output, "--kubeconfig", str(kubeconfig)]).stdout
    found = json.loads(printed) if output == "json" else yaml.safe_load(printed)
    assert found == {"name": "default", "keptOff": False, "nodes": 5, "served": 5, "waiting": {}, "shadow": None}


@pytest.fixture
def heeded() -> Iterator[None]:
    """A program inherits that SIGINT is ignored, as in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_a_command_that_is_interrupted_ends_with_one_line_and_130(tmp_path: Path) -> None:
    with serving(cluster(), tmp_path) as kubeconfig:
        argv = [sys.executable, "-m", "proxyconfig_cli", "rollout", "status", "-w", "--kubeconfig", str(kubeconfig)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "default: 2 of 6 nodes updated, 6 ready, wave 2 of 6\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("", "Interrupted\n")
            assert process.returncode == 130
