"""A kernel without CONFIG_NF_TABLES: `auto` ends in iptables, through the legacy tables, and says what nftables lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.kernel.nftables.examples import SETTINGS, every_kind
from tests.kernels.node import Node
from tests.unit.agent.examples import NODE

from proxyconfig_agent.controller.active_mode import ActiveMode
from proxyconfig_agent.dataplane.modes import installed
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_api.nodeproxy import ModeStatus
from proxyconfig_api.spec import Mode, ProxyConfigSpec
from proxyconfig_client.clock import Clock

pytestmark = pytest.mark.kernel


def chosen() -> tuple[ModeStatus, dict[str, str]]:
    """What `auto` comes to in this network namespace, with Services programmed by it; and what its probe has found."""
    clock, cluster = Clock(), ClusterState(NODE)
    recorder = StatusRecorder(cluster, Metrics("1", ""), Health(clock), "1", clock)

    async def run() -> None:
        active = ActiveMode(installed, recorder, stop=lambda: asyncio.sleep(0))
        dataplane = await active.use(ProxyConfigSpec(mode=Mode.AUTO))
        assert dataplane is not None, recorder.state.mode.message
        dataplane.resync(SETTINGS, every_kind())
        active.close()

    asyncio.run(run())
    return recorder.state.mode, dict(recorder.state.capabilities)


@pytest.fixture
def clean(node: Node) -> Iterator[Node]:
    """Tables of the node's own network namespace, empty afterwards."""
    yield node
    node.clean_up()


def test_auto_ends_in_iptables_through_the_legacy_tables(clean: Node) -> None:
    mode, found = clean.space.call(chosen)
    assert (mode.desired, mode.effective, mode.reason) == ("auto", "iptables", "NextBest")
    assert "CONFIG_NF_TABLES" in mode.message
    assert found["iptables"].endswith("(legacy)")
    for save in ("iptables-legacy-save", "ip6tables-legacy-save"):
        assert "KUBE-SERVICES" in clean.space.run(save, "-t", "nat")
