"""A node on the kernel that runs, with our modes on it. Tests for a certain kernel are collected on a user-mode Linux only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernels.node import Node
from tests.support.netns.namespace import namespaces

from proxyconfig_agent.dataplane.port import ModeInstance

_FOR_A_KERNEL = ["without_*", "ipv4_alone", "ipvs", "mode_changes", "adoption", "shadow"]
collect_ignore_glob = [] if "User Mode Linux" in Path("/proc/cpuinfo").read_text() else _FOR_A_KERNEL

Start = Callable[[Callable[[], ModeInstance]], Entered]


@pytest.fixture
def node() -> Iterator[Node]:
    with namespaces("node") as made:
        yield Node(made["node"])


@pytest.fixture
def start(node: Node) -> Iterator[Start]:
    """Start the data plane of a mode on the node."""
    started: list[Entered] = []

    def another(mode: Callable[[], ModeInstance]) -> Entered:
        started.append(Entered(node.space, mode))
        return started[-1]

    yield another
    for dataplane in started:
        dataplane.close()
