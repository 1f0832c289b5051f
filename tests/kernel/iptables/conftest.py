"""An API server for these tests alone, that takes addresses with leading zeros, and what the comparisons found at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.iptables.api import Api
from tests.kernel.iptables.comparison import Laboratory
from tests.kernel.traffic.clusterobjects import node_object
from tests.kernels.inside import apiserver
from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, NODE_NAME, POD_CIDR
from tests.support.scenarios.apiwriter import ApiWriter

from proxyconfig_client.connection.config import from_kubeconfig

LENIENT = "--feature-gates=StrictIPCIDRValidation=false"
"""Kubernetes 1.36 refuses such addresses in new objects; clusters have them in old ones."""


@pytest.fixture(scope="session")
def lenient() -> Iterator[ControlPlane]:
    """An API server with the Node that both sides are."""
    with apiserver(LENIENT) as api:
        node = node_object(NODE_NAME, POD_CIDR, NODE)
        node["status"]["addresses"] += [{"type": "InternalIP", "address": text} for text in NODE_ALTERNATIVE.both]
        ApiWriter(from_kubeconfig(api.kubeconfig)).place_node(node)
        yield api


@pytest.fixture(scope="session")
def api(lenient: ControlPlane) -> Api:
    """The objects that both sides serve."""
    return Api(ApiWriter(from_kubeconfig(lenient.kubeconfig)))


@pytest.fixture(scope="module", autouse=True)
def empty(api: Api) -> None:
    """A module begins without Services: those of another one have the ports of its own."""
    api.put({})


@pytest.fixture
def laboratory(lenient: ControlPlane, api: Api, tmp_path: Path) -> Laboratory:
    """Two nodes' worth of everything; the Services of the test before are still there."""
    return Laboratory(lenient, api, tmp_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was compared, and in how much it differed."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            found = [text for name, text in getattr(report, "user_properties", ()) if name == "compared"]
            for text in found:
                terminalreporter.write_line(f"iptables-save of kube-proxy and of the agent, {text}")
