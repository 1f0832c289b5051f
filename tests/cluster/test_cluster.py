"""Clusters come up, are interrupted, crash, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster import binaries, cluster, images, registry, remains
from tests.cluster.command import run
from tests.cluster.errors import ClusterError, CommandError
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
UP_WITHIN_S = 240


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    binaries.ensure()
    images.testing()


@pytest.fixture
def name() -> Iterator[str]:
    """Give a cluster name of this test's own; whatever the test leaves is removed."""
    own = f"test-{os.getpid()}"
    yield own
    cluster.down(own)


@dataclass(frozen=True)
class Start:
    """A start of a cluster in another process."""

    process: subprocess.Popen[bytes]
    log: Path

    def reached(self, words: str) -> None:
        """Wait until it says these words."""
        eventually(lambda: words in self.log.read_text(), within_s=UP_WITHIN_S)


@pytest.fixture
def start(name: str, tmp_path: Path) -> Iterator[Start]:
    log = tmp_path / "log"
    with log.open("wb") as file:
        # A shell lets the commands that it runs in the background ignore interrupts; what is tested here is one at a terminal.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "tests.cluster", "up", "--name", name, "--nodes", "1"]
        process = subprocess.Popen(command, cwd=cluster.ROOT, stderr=file, stdout=file)
    with process:
        yield Start(process, log)
        process.kill()


def entry_of(name: str) -> registry.Entry:
    """Return the registered entry of a cluster."""
    found = registry.find(cluster.CLUSTERS / name)
    assert found is not None
    return found


def test_nodes_are_ready_dual_stack_and_their_own_identity_and_down_leaves_nothing(name: str) -> None:
    made = cluster.up(name, 2)
    entry = entry_of(name)
    for node in made.nodes:
        found = made.plane.get(f"/api/v1/nodes/{node.name}")
        assert [address["address"] for address in found["status"]["addresses"]] == [node.attachment.ipv4, node.attachment.ipv6, node.name]
        assert found["spec"]["podCIDRs"] == list(node.pod_ranges)
        assert run(*node.enter(), "hostname").strip() == node.name
    _node_may_not_change_another(made)
    assert [node.name for node in cluster.find(name).nodes] == ["node-1", "node-2"]
    with pytest.raises(ClusterError, match="is up already"):
        cluster.up(name, 1)
    cluster.down(name)
    assert list(remains.found(entry.number, entry.folder)) == []
    assert registry.find(entry.folder) is None


def _node_may_not_change_another(made: cluster.Cluster) -> None:
    kubeconfig = made.plane.kubeconfig_for("system:node:node-1", "system:nodes")
    with pytest.raises(CommandError, match="forbidden"):
        run(made.plane.program("kubectl"), "--kubeconfig", kubeconfig, "annotate", "node", "node-2", "x=y")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("reached", ["etcd and kube-apiserver", "containerd, images, kubelet"])
def test_an_interrupted_start_cleans_up(name: str, start: Start, number: signal.Signals, reached: str) -> None:
    start.reached(reached)
    entry = entry_of(name)
    start.process.send_signal(number)
    assert start.process.wait(240) == 130
    assert list(remains.found(entry.number, entry.folder)) == []
    assert registry.find(entry.folder) is None


def test_what_a_crashed_start_left_is_removed_by_the_next_run(name: str, start: Start) -> None:
    start.reached("containerd, images, kubelet")
    entry = entry_of(name)
    start.process.kill()
    start.process.wait(60)
    assert list(remains.found(entry.number, entry.folder))
    remains.sweep()
    assert list(remains.found(entry.number, entry.folder)) == []


def test_a_component_that_fails_is_named_with_its_words_and_its_log_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cluster.controlplane.SERVICE_RANGES", "10.96.0.0/16,10.97.0.0/16")
    with pytest.raises(ClusterError, match=r"kube-apiserver ended while it started(?s:.*)What to do"):
        cluster.up(name, 1)
    assert (cluster.CLUSTERS / f"{name}.failed" / "kube-apiserver.log").stat().st_size
    assert registry.find(cluster.CLUSTERS / name) is None
