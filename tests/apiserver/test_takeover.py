"""`kubectl proxyconfig takeover start` on a real API server, beside the operator and simulated nodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.apiserver.expect import is_ready
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import NODES, Api, config
from tests.apiserver.process import OperatorProcess
from tests.cluster.controlplane import ControlPlane

from proxyconfig_cli.takeover.turns import TURN_LABEL

pytestmark = pytest.mark.apiserver

CAREFUL = {"maxUnavailable": 1, "holdPeriod": "1s", "progressDeadline": "2m"}


def test_nodes_are_taken_over_though_one_is_down_and_the_api_server_starts_again_meanwhile(
    plane: ControlPlane,
    api: Api,
    fleet: Fleet,
    operator: OperatorProcess,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    fleet.join("n1", "n2", "n3")
    fleet.die("n3")
    (tmp_path / "file").write_text(yaml.safe_dump(config("default", rollout=CAREFUL)))
    argv = (sys.executable, "-m", "proxyconfig_cli", "takeover", "start", "-f", "file", "--kubeconfig", str(plane.kubeconfig))

    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as start:
        assert start.stdout is not None
        assert start.stderr is not None
        assert start.stdout.readline() == "wave 1: n1\n"
        plane.stop_server()
        said = []
        for line in start.stderr:
            said.append(line)
            if line.startswith("the API server is away: "):
                break
        plane.start_server()
        printed, more = start.communicate(timeout=180)

    assert start.returncode == 0, [*said, more]
    assert "left out of the waves, as they are not ready: n3\n" in said
    assert "the API server answers again\n" in more
    assert printed.splitlines() == ["wave 2: n2", "default: 2 of 3 nodes taken over; to follow when ready: n3"]
    fleet.return_to_life("n3")
    fleet.join("n4")
    is_ready(api, "default", 4)
    assert not [node for node in api.every(NODES) if TURN_LABEL in node["metadata"]["labels"]]
