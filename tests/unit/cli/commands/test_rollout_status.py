"""`rollout status` while the API server is away."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result
from tests.unit.cli.apiserver import Objects, serving
from tests.unit.cli.page import STATUS, cluster, revision_name

from proxyconfig_cli.app.main import main

CONFIG = "/apis/proxyconfig.dev/v1alpha1/proxyconfigs/default"
COMPLETE = STATUS | {"nodes": {"desired": 6, "updated": 6, "ready": 6}, "rollout": {**STATUS["rollout"], "phase": "Complete", "updated": 6}}


def followed(held: Objects, folder: Path, *words: str) -> Result:
    with serving(held, folder) as kubeconfig:
        return CliRunner().invoke(main, ["rollout", "status", *words, "--kubeconfig", str(kubeconfig)])


def test_a_rollout_is_followed_over_a_restart_of_the_api_server(tmp_path: Path) -> None:
    held = cluster()
    statuses = iter([200, 503, 429])

    def status(_path: str) -> int:
        answer = next(statuses, 0)
        held.objects[CONFIG]["status"] = STATUS if answer else COMPLETE
        return answer or 200

    held.status = status

    result = followed(held, tmp_path)

    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "the API server is away: the server is told to refuse (HTTP 503); trying again",
        "the API server answers again",
    ]
    assert result.stdout.splitlines()[-1] == f"default: revision {revision_name(2)} is healthy on 6 nodes"


def test_the_timeout_holds_while_the_api_server_is_away(tmp_path: Path) -> None:
    held = cluster()
    answers = iter([200])
    held.status = lambda _: next(answers, 503)

    result = followed(held, tmp_path, "--timeout", "2s")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: the API server has been away for ")
