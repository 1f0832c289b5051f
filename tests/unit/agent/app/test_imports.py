"""What a start of the agent does not import. Each of it costs memory on every node, and few nodes need it."""

from __future__ import annotations

import subprocess
import sys

import pytest

STARTS = """
import sys
import proxyconfig_agent.__main__, proxyconfig_agent.app.wiring
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def imported() -> frozenset[str]:
    done = subprocess.run([sys.executable, "-c", STARTS], check=True, capture_output=True, text=True, timeout=60)
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("module", ["proxyconfig_agent.controller.step", "proxyconfig_agent.checks.shadow.observer"])
def test_what_every_node_needs_is_imported(module: str, imported: frozenset[str]) -> None:
    assert module in imported


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("proxyconfig_agent.checks.shadow.round", id="comparing with kube-proxy: for spec.takeover Observe"),
        pytest.param("proxyconfig_agent.checks.shadow.comparison", id="what is compared"),
        pytest.param("proxyconfig_agent.checks.walker", id="walking rules: for comparing alone"),
        pytest.param("proxyconfig_agent.node.init", id="the init container"),
        pytest.param("proxyconfig_agent.app.cleanup", id="--cleanup"),
        pytest.param("proxyconfig_agent.dataplane.nftables.nftables", id="a mode, nftables"),
        pytest.param("proxyconfig_agent.dataplane.ipvs.ipvs", id="a mode, ipvs"),
        pytest.param("proxyconfig_agent.dataplane.userspace.userspace", id="a mode, userspace"),
        pytest.param("proxyconfig_agent.dataplane.iptables.iptables", id="a mode, iptables"),
        pytest.param("pyroute2", id="netlink of --init and --cleanup"),
        pytest.param("iptc", id="legacy tables for --cleanup"),
        pytest.param("yaml", id="files that are not JSON"),
        pytest.param("multiprocessing", id="no part of an agent"),
        pytest.param("kubernetes", id="the operator's client"),
        pytest.param("jinja2", id="the operator's templates"),
    ],
)
def test_what_few_nodes_need_is_not_imported(module: str, imported: frozenset[str]) -> None:
    assert module not in imported
