"""`takeover start` where nodes are down or do not get ready, where the operator does nothing, and while the API server is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.unit.cli.apiserver import Object, Objects, serving
from tests.unit.cli.page import TAKEOVER, assign, cluster, proxyconfig

from proxyconfig_api.objects.names import CONFIG_LABEL
from proxyconfig_cli.app.main import main
from proxyconfig_cli.takeover.turns import TURN_LABEL

CONFIG = "/apis/proxyconfig.dev/v1alpha1/proxyconfigs/default"
PROXIES = "/apis/proxyconfig.dev/v1alpha1/nodeproxies"
NODES = "/api/v1/nodes"
SILENT = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}


def start(held: Objects, folder: Path, **rollout: Any) -> Result:
    """Its deadline is a second."""
    settings = {**TAKEOVER["rollout"], "progressDeadline": "1s", **rollout}
    (folder / "takeover.yaml").write_text(yaml.safe_dump(proxyconfig({**TAKEOVER, "rollout": settings})))
    with serving(held, folder) as kubeconfig:
        return CliRunner().invoke(main, ["takeover", "start", "-f", str(folder / "takeover.yaml"), "--kubeconfig", str(kubeconfig)])


def node(held: Objects, name: str) -> Object:
    return next(each for each in held.collections[NODES] if each["metadata"]["name"] == name)


def lose(held: Objects, *names: str) -> None:
    """Their kubelets are silent."""
    for name in names:
        node(held, name)["status"]["conditions"] = [SILENT]


def without_agent(held: Objects, name: str) -> None:
    """No agent comes to that node, whatever its labels."""
    held.written = lambda path: assign(held, path) if path != f"{NODES}/{name}" else None


def turns(held: Objects) -> list[str]:
    """Nodes get into the list when they get their turn."""
    given, controllers = list[str](), held.written

    def written(path: str) -> None:
        above, _, name = path.rpartition("/")
        if above == NODES and TURN_LABEL in node(held, name)["metadata"]["labels"]:
            given.append(name)
        controllers(path)

    held.written = written
    return given


def when(held: Objects, path: str, number: int, act: Callable[[], None]) -> None:
    """Act before the request for the path that has this number."""
    left = iter([*[lambda: None] * (number - 1), act])

    def status(asked: str) -> int:
        if asked == path:
            next(left, lambda: None)()
        return 200

    held.status = status


def test_a_node_that_is_down_is_left_out_of_the_waves_and_named(tmp_path: Path) -> None:
    held = cluster()
    lose(held, "node-6")
    given = turns(held)

    result = start(held, tmp_path)

    assert result.exit_code == 0, result.output
    assert given == ["node-1", "node-2", "node-3", "node-4", "node-5"]
    assert result.stderr.splitlines() == ["left out of the waves, as they are not ready: node-6"]
    assert result.stdout.splitlines()[-1] == "default: 5 of 6 nodes taken over; to follow when ready: node-6"
    assert TURN_LABEL not in str(held.objects[CONFIG]["spec"]), "the last apply selects it, and nodes that join"


def test_nothing_begins_where_no_node_is_ready(tmp_path: Path) -> None:
    held, written = cluster(), list[str]()
    lose(held, *(f"node-{index}" for index in range(1, 7)))
    held.written = written.append

    result = start(held, tmp_path)

    assert result.exit_code == 1
    assert "none of 6 nodes is ready" in result.stderr
    assert not written


def test_as_many_nodes_as_max_failures_may_not_get_ready_and_are_named(tmp_path: Path) -> None:
    held = cluster()
    without_agent(held, "node-6")

    result = start(held, tmp_path, maxFailures=1)

    assert result.exit_code == 0, result.output
    said = ["waiting for 1 node; node-6: no NodeProxy yet"]
    assert result.stderr.splitlines() == [
        *said,
        "node-6 not ready after 1s: no NodeProxy yet; passed over, as spec.rollout.maxFailures is 1",
    ]
    assert result.stdout.splitlines()[-1] == "default: 5 of 6 nodes taken over; to follow when ready: node-6"


def test_one_more_ends_it_before_another_node_changes(tmp_path: Path) -> None:
    held = cluster()
    held.collections[PROXIES] = [each for each in held.collections[PROXIES] if each["metadata"]["name"] != "node-1"]
    without_agent(held, "node-1")
    given = turns(held)

    result = start(held, tmp_path)

    assert result.exit_code == 1
    assert "Error: node-1 not ready after 1s: no NodeProxy yet; continue with start, or go back with takeover undo" in result.stderr
    assert given == ["node-1"]


def test_a_node_that_goes_down_after_its_turn_is_one_of_max_failures_and_left_out_by_another_start(tmp_path: Path) -> None:
    held = cluster()
    held.written = lambda path: lose(held, "node-1") if path == f"{NODES}/node-1" else assign(held, path)

    result = start(held, tmp_path)

    assert result.exit_code == 1
    assert "node-1 not ready after 1s: NodeStatusUnknown: Kubelet stopped posting node status.; continue with start" in result.stderr
    held.written = lambda path: assign(held, path)
    assert start(held, tmp_path).exit_code == 0
    assert TURN_LABEL not in str(held.collections[NODES])


def test_a_node_that_goes_down_before_its_turn_has_it_when_it_is_back(tmp_path: Path) -> None:
    held, ready = cluster(), node(cluster(), "node-6")["status"]["conditions"]
    given = turns(held)
    when(held, NODES, 3, lambda: lose(held, "node-2", "node-6"))
    come_back_later(held, ready)

    result = start(held, tmp_path, progressDeadline="30s")

    assert result.exit_code == 0, result.output
    assert "waiting for 2 nodes; node-2: NodeStatusUnknown: Kubelet stopped posting node status." in result.stderr
    assert sorted(given[-2:]) == ["node-2", "node-6"]
    assert result.stdout.splitlines()[-1] == "default: 6 nodes taken over"


def come_back_later(held: Objects, ready: list[Object]) -> None:
    """A second after the last of the others has had its turn."""
    others, before = {"node-1", "node-3", "node-4", "node-5"}, held.status
    looks = iter(range(100))

    def status(asked: str) -> int:
        taken = {each["metadata"]["name"] for each in held.collections[NODES] if TURN_LABEL in each["metadata"]["labels"]}
        if asked == NODES and taken >= others and next(looks) == 2:
            for name in ("node-2", "node-6"):
                node(held, name)["status"]["conditions"] = ready
        return before(asked)

    held.status = status


def test_what_is_waited_for_is_printed_when_it_changes(tmp_path: Path) -> None:
    held = cluster()
    without_agent(held, "node-6")
    when(held, PROXIES, 9, lambda: assign(held, f"{NODES}/node-6"))

    result = start(held, tmp_path, progressDeadline="30s", holdPeriod="1s")

    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines().count("waiting for 1 node; node-6: no NodeProxy yet") == 1
    assert result.stderr.splitlines()[-1] == "ready; holdPeriod is 1s"


def test_nodes_that_go_on_observing_end_it_in_time_with_the_fix(tmp_path: Path) -> None:
    held = cluster()
    held.objects[CONFIG]["spec"]["takeover"] = "Observe"
    node(held, "node-3")["metadata"]["labels"][CONFIG_LABEL] = "default"

    result = start(held, tmp_path)

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "waiting for 1 node to end observing; node-3",
        "Error: node node-3 still observed after 1s: see that the operator runs, and continue with start",
    ]


@pytest.mark.parametrize("path", [NODES, f"{NODES}/node-4", CONFIG], ids=["while it reads", "while it gives turns", "while it applies"])
def test_the_api_server_may_be_away_for_a_while(tmp_path: Path, path: str) -> None:
    held = cluster()
    answers = iter([*[200] * (path == NODES), 503, 503])
    held.status = lambda asked: next(answers, 200) if asked == path else 200

    result = start(held, tmp_path, progressDeadline="30s")

    assert result.exit_code == 0, result.output
    away = "the API server is away: the server is told to refuse (HTTP 503); trying again"
    assert result.stderr.splitlines() == [away, "the API server answers again"]
    assert result.stdout.splitlines()[-1] == "default: 6 nodes taken over"


def test_what_the_api_server_forbids_ends_it_at_once(tmp_path: Path) -> None:
    held = cluster()
    held.status = lambda asked: 403 if asked == f"{NODES}/node-4" else 200

    result = start(held, tmp_path)

    assert result.exit_code == 1
    assert result.stderr == "Error: the server is told to refuse (HTTP 403)\n"
