"""Mode `auto` on the kernel that runs, as the agent chooses and programs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tests.kernel.nftables.examples import SETTINGS
from tests.unit.agent.examples import NODE

from proxyconfig_agent.controller.active.active_mode import ActiveMode
from proxyconfig_agent.dataplane.modes.modes import installed
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_api.objects.nodeproxy import ModeStatus
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec
from proxyconfig_client.process.clock import Clock


def chosen(wanted: Iterable[Frontends], settings: Settings = SETTINGS) -> tuple[ModeStatus, dict[str, str]]:
    """What `auto` comes to in this network namespace, with Services programmed by it; and what its probe has found."""
    clock, cluster = Clock(), ClusterState(NODE)
    recorder = StatusRecorder(cluster, Metrics("1", ""), Health(clock), "1", clock)

    async def run() -> None:
        active = ActiveMode(installed, recorder, stop=lambda: asyncio.sleep(0))
        dataplane = await active.use(ProxyConfigSpec(mode=Mode.AUTO))
        assert dataplane is not None, recorder.state.mode.message
        outcome = dataplane.resync(settings, wanted)
        assert not [refusal for refusal in outcome.refused if not refusal.partly]
        active.close()

    asyncio.run(run())
    return recorder.state.mode, dict(recorder.state.capabilities)
