"""`--cleanup` on a node that an agent ran in iptables mode: nothing of it is left, in either back end, or it is named."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.iptables_port.conftest import Node
from tests.kernel.nftables.examples import SETTINGS, every_kind
from tests.support.netns.programs import ROOT

pytestmark = pytest.mark.kernel


CLEAN_UP = (sys.executable, "-m", "proxyconfig_agent", "--cleanup")
PAGE = Path(__file__).parents[3] / "docs" / "troubleshooting.md"


def clean_up(node: Node, argv: tuple[str, ...] = CLEAN_UP) -> tuple[int, list[str]]:
    """The exit status, and the lines that it prints."""
    with node.space.spawn(*argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        printed, _ = process.communicate(timeout=100)
    return process.returncode, printed.splitlines()


def test_it_leaves_nothing_and_says_so(node: Node, dataplane: Entered) -> None:
    before = node.everything()
    dataplane.resync(SETTINGS, every_kind())

    assert clean_up(node) == (0, ["0 kernel objects of proxyconfig are left"])

    assert not any("KUBE-SVC-" in line or "KUBE-SERVICES" in line for line in node.everything())
    assert {line for line in before if not line.startswith(":")} <= set(node.everything())


@pytest.mark.parametrize("node", ["nft"], indirect=True)
def test_it_removes_what_is_left_of_a_back_end_that_the_node_uses_no_more(node: Node, dataplane: Entered) -> None:
    dataplane.resync(SETTINGS, every_kind())
    node.space.run("iptables-legacy", "-t", "nat", "-N", "KUBE-SVC-AAAAAAAAAAAAAAAA")
    node.space.run("iptables-legacy", "-t", "nat", "-N", "SOMEBODY-ELSE")

    assert clean_up(node) == (0, ["0 kernel objects of proxyconfig are left"])

    assert "SOMEBODY-ELSE" in node.space.run("iptables-legacy-save")


@pytest.mark.parametrize("node", ["nft"], indirect=True)
def test_it_names_what_it_cannot_remove_of_that_back_end(node: Node, dataplane: Entered) -> None:
    dataplane.resync(SETTINGS, every_kind())
    node.space.run("iptables-legacy", "-t", "nat", "-N", "KUBE-MARK-MASQ")
    node.space.run("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-j", "KUBE-MARK-MASQ")

    assert clean_up(node) == (1, ["chain ip nat KUBE-MARK-MASQ", "1 kernel objects of proxyconfig are left"])


def in_debugging_pod(host: Path) -> tuple[str, ...]:
    """The shell command of docs/troubleshooting.md with a separate /run, and the node's /run below `host`."""
    (line,) = [line for line in PAGE.read_text().splitlines() if line.startswith("kubectl debug")]
    command = shlex.split(line)[-1].replace("/host/run", str(host)).replace("python3", sys.executable)
    return ("unshare", "--mount", "sh", "-ec", f"mount --bind /run {host}; mount -t tmpfs none /run; {command}")


def test_the_command_for_a_debugging_pod_finds_what_the_agent_kept_on_the_node(node: Node, dataplane: Entered, tmp_path: Path) -> None:
    dataplane.resync(SETTINGS, every_kind())

    assert clean_up(node, in_debugging_pod(tmp_path)) == (0, ["0 kernel objects of proxyconfig are left"])

    assert not any("KUBE-SVC-" in line for line in node.everything())
