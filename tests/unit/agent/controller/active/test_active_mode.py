"""Which mode is active on a node: what runs stays until another one is proven possible, and a removal leaves nothing."""

from __future__ import annotations

import asyncio
import os

import pytest
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.dataplane.nftables.frontends import frontends
from tests.unit.agent.examples import NODE

from proxyconfig_agent.controller.active.active_mode import ActiveMode
from proxyconfig_agent.dataplane.modes.takeover import Takeover
from proxyconfig_agent.dataplane.port import DataplaneError, Installed, ProbeResult, Settings, TemporaryError
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_api.objects.nodeproxy import ModeStatus
from proxyconfig_api.spec.sections import Conntrack, Mode, ProxyConfigSpec
from proxyconfig_client.process.clock import Clock

PORTS = [frontends(cluster=("10.244.0.1:80",))]


NFTABLES, IPTABLES, IPVS, AUTO, USERSPACE = (
    ProxyConfigSpec(mode=mode) for mode in (Mode.NFTABLES, Mode.IPTABLES, Mode.IPVS, Mode.AUTO, Mode.USERSPACE)
)
KERNEL = os.uname().release


class Plane(FakeDataplane):
    """A data plane whose kernel may lack a feature, or a family."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__()
        self.name, self.log = name, log
        self.lacks = ""
        self.trouble: Exception | None = None

    def probe(self) -> ProbeResult:
        self.log.append(f"probe {self.name}")
        if self.trouble:
            raise self.trouble
        if self.lacks:
            raise DataplaneError(self.lacks)
        return ProbeResult({"feature": self.name}, self.unserved)

    def arm(self) -> None:
        self.log.append(f"arm {self.name}")
        super().arm()

    def disarm(self) -> bool:
        self.log.append(f"disarm {self.name}")
        return super().disarm()

    def close(self) -> None:
        self.log.append(f"close {self.name}")


class Node:
    """A node with three modes; `log`: what was done to them, and when the runner was stopped, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.nftables, self.iptables, self.userspace = (Plane(name, self.log) for name in ("nftables", "iptables", "userspace"))
        clock, cluster = Clock(), ClusterState(NODE)
        self.health = Health(clock)
        self.recorder = StatusRecorder(cluster, Metrics("1", ""), self.health, "1", clock)
        self.active = ActiveMode(self._installed, self.recorder, stop=self._stop)

    @property
    def says(self) -> ModeStatus:
        return self.recorder.state.mode

    @property
    def findings(self) -> list[tuple[str, str]]:
        return [(finding.reason, finding.message) for finding in self.recorder.state.findings]

    @property
    def unhealthy(self) -> str:
        return self.health.healthz().body.decode()

    def _installed(self, mode: Mode) -> Installed:
        planes = {Mode.NFTABLES: self.nftables, Mode.IPTABLES: self.iptables, Mode.USERSPACE: self.userspace}
        if mode not in planes:
            raise DataplaneError(f"{mode.value} mode is not built")
        return Installed(planes[mode], planes[mode], Takeover(planes[mode], lambda: iter(())))

    async def _stop(self) -> None:
        self.log.append("stop")


async def test_the_first_mode_is_probed_and_its_features_are_in_the_status() -> None:
    node = Node()
    assert await node.active.use(NFTABLES) is node.nftables
    assert (node.active.mode, node.active.failed_for) == (Mode.NFTABLES, None)
    assert (node.says.effective, node.recorder.state.capabilities["feature"]) == ("nftables", "nftables")


async def test_the_active_mode_is_not_probed_again() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    assert await node.active.use(NFTABLES) is node.nftables
    assert node.log.count("probe nftables") == 1


async def test_two_that_ask_for_a_mode_at_once_have_it_probed_once() -> None:
    node = Node()
    await asyncio.gather(node.active.use(NFTABLES), node.active.use(NFTABLES))
    assert node.log.count("probe nftables") == 1


async def test_the_runner_is_stopped_after_the_probe_and_before_the_old_mode_is_closed() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    node.log.clear()
    assert await node.active.use(IPTABLES) is node.iptables
    assert node.log == ["probe iptables", "stop", "close nftables"]


@pytest.mark.parametrize("other", [Mode.IPTABLES, Mode.IPVS])
async def test_a_mode_that_is_impossible_leaves_the_current_one_active_and_healthy(other: Mode) -> None:
    node = Node()
    await node.active.use(NFTABLES)
    node.log.clear()
    node.iptables.lacks = "the kernel lacks xt_comment"
    assert await node.active.use(ProxyConfigSpec(mode=other)) is None
    assert (node.active.mode, node.active.dataplane, node.active.failed_for) == (Mode.NFTABLES, node.nftables, ProxyConfigSpec(mode=other))
    assert [reason for reason, _ in node.findings] == ["ModeUnsupported"]
    assert "xt_comment" not in node.unhealthy
    assert "stop" not in node.log
    assert "close nftables" not in node.log
    assert (node.says.desired, node.says.effective, node.says.reason) == (other, "nftables", "ModeUnsupported")


async def test_a_data_plane_whose_probe_fails_is_closed() -> None:
    node = Node()
    node.nftables.lacks = "the kernel lacks nf_tables"
    await node.active.use(NFTABLES)
    assert node.log == ["probe nftables", "close nftables"]


async def test_a_node_without_any_mode_is_unhealthy_and_says_what_is_lacking() -> None:
    node = Node()
    node.nftables.lacks = "the kernel lacks nf_tables"
    assert await node.active.use(NFTABLES) is None
    assert node.active.dataplane is None
    assert node.findings == [("ModeUnsupported", "the kernel lacks nf_tables")]
    assert "the kernel lacks nf_tables" in node.unhealthy


async def test_the_finding_is_taken_back_when_the_mode_becomes_possible_or_the_active_one_is_asked_for_again() -> None:
    node = Node()
    node.nftables.lacks = "the kernel lacks nf_tables"
    await node.active.use(NFTABLES)
    node.nftables.lacks = ""
    await node.active.use(NFTABLES)
    assert (node.findings, node.active.failed_for) == ([], None)
    assert "nf_tables" not in node.unhealthy
    await node.active.use(IPVS)
    assert (len(node.findings), node.active.failed_for) == (1, IPVS)
    await node.active.use(NFTABLES)
    assert (node.findings, node.active.failed_for) == ([], None)


async def test_families_that_a_mode_cannot_serve_are_those_of_the_active_one() -> None:
    node = Node()
    node.iptables.unserved = {Family.IPV6: "ip6tables is not there"}
    await node.active.use(IPTABLES)
    assert node.active.unserved == {Family.IPV6: "ip6tables is not there"}
    await node.active.use(NFTABLES)
    assert node.active.unserved == {}


async def test_a_removal_leaves_nothing_and_a_scan_proves_it() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    node.nftables.resync(Settings(), PORTS)
    assert await node.active.scan()
    assert await node.active.remove() == []
    assert node.nftables.state == {}


async def test_a_removal_that_fails_is_a_finding_and_leaves_the_rules_to_be_removed_later() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    node.nftables.resync(Settings(), PORTS)
    node.nftables.failure = 1.0
    assert await node.active.remove() is None
    assert node.findings == [("RemovalFailed", "the kernel says no: Invalid argument")]
    node.nftables.failure = 0.0
    assert await node.active.remove() == []


async def test_auto_probes_no_more_than_one_mode_where_the_first_works() -> None:
    node = Node()
    assert await node.active.use(AUTO) is node.nftables
    assert node.log == ["probe nftables", "stop"]
    assert (node.says.desired, node.says.effective, node.says.reason) == ("auto", "nftables", "FirstChoice")
    assert KERNEL in node.says.message


async def test_auto_takes_the_next_mode_where_the_kernel_lacks_the_first_and_says_why() -> None:
    node = Node()
    node.nftables.lacks = "nftables: the kernel lacks CONFIG_NF_TABLES"
    assert await node.active.use(AUTO) is node.iptables
    assert (node.says.effective, node.says.reason) == ("iptables", "NextBest")
    assert "CONFIG_NF_TABLES" in node.says.message
    assert (node.findings, node.active.failed_for, node.active.chosen_for) == ([], None, AUTO)


async def test_auto_without_any_mode_names_what_every_one_lacks() -> None:
    node = Node()
    node.nftables.lacks, node.iptables.lacks, node.userspace.lacks = "no nf_tables", "no ip_tables", "neither"
    assert await node.active.use(AUTO) is None
    ((reason, message),) = node.findings
    assert (reason, node.says.reason, node.says.effective) == ("ModeUnsupported", "ModeUnsupported", "")
    assert "no nf_tables" in message
    assert "no ip_tables" in message
    assert "no mode works on this node" in node.unhealthy


async def test_the_choice_stays_for_the_same_spec_and_costs_no_probe() -> None:
    node = Node()
    node.nftables.lacks = "no nf_tables"
    await node.active.use(AUTO)
    node.nftables.lacks = ""
    node.log.clear()
    assert await node.active.use(AUTO) is node.iptables
    assert node.log == []


async def test_another_spec_is_a_new_choice_that_probes_better_modes_alone() -> None:
    node = Node()
    node.nftables.lacks = "no nf_tables"
    await node.active.use(AUTO)
    node.log.clear()
    assert await node.active.use(ProxyConfigSpec(mode=Mode.AUTO, conntrack=Conntrack(min=1))) is node.iptables
    assert node.log == ["probe nftables", "close nftables"]
    node.nftables.lacks = ""
    assert await node.active.use(ProxyConfigSpec(mode=Mode.AUTO, conntrack=Conntrack(min=2))) is node.nftables


async def test_auto_keeps_the_mode_that_runs_where_it_is_the_best_and_a_name_keeps_the_mode_that_auto_has_taken() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    assert (node.says.desired, node.says.reason) == ("nftables", "AsConfigured")
    await node.active.use(AUTO)
    assert (node.says.desired, node.says.reason) == ("auto", "FirstChoice")
    await node.active.use(NFTABLES)
    assert (node.says.desired, node.says.reason) == ("nftables", "AsConfigured")
    assert (node.log, node.active.chosen_for) == (["probe nftables", "stop"], None)


async def test_a_restarted_agent_takes_no_worse_mode_because_a_probe_fails_for_another_reason() -> None:
    node = Node()
    node.active.restarted("nftables", KERNEL)
    node.nftables.trouble = TemporaryError("nftables: tables cannot be probed: no memory")
    assert await node.active.use(AUTO) is None
    assert "this node stays with nftables" in node.says.message
    assert "probe iptables" not in node.log
    node.nftables.trouble = None
    assert await node.active.use(AUTO) is node.nftables


@pytest.mark.parametrize("trouble", [TemporaryError("no memory"), OSError(12, "no memory")])
@pytest.mark.parametrize(("mode", "kernel"), [("nftables", "5.4.0-other"), ("iptables", KERNEL), ("", KERNEL), ("later", KERNEL)])
async def test_on_another_kernel_and_without_an_earlier_mode_the_next_one_is_taken(trouble: Exception, mode: str, kernel: str) -> None:
    node = Node()
    node.active.restarted(mode, kernel)
    node.nftables.trouble = trouble
    assert await node.active.use(AUTO) is node.iptables


async def test_a_mode_that_is_held_stays_open_beside_the_new_one_and_is_gone_back_to_without_a_probe() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    node.active.hold()
    assert await node.active.use(IPTABLES) is node.iptables
    node.log.clear()
    assert await node.active.use(NFTABLES) is node.nftables
    assert node.log == ["stop", "arm nftables", "disarm iptables", "close iptables"]
    await node.active.commit()
    assert "close nftables" not in node.log


async def test_a_change_that_is_committed_closes_the_mode_before() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    node.active.hold()
    await node.active.use(IPTABLES)
    assert "close nftables" not in node.log
    await node.active.commit()
    assert node.log[-1] == "close nftables"
    await node.active.use(NFTABLES)
    assert node.log[-3:] == ["probe nftables", "stop", "close iptables"]


async def test_a_second_change_before_the_commit_goes_back_to_where_the_first_began() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    node.active.hold()
    await node.active.use(IPTABLES)
    await node.active.use(USERSPACE)
    assert node.log[-1] == "close iptables"
    assert await node.active.use(NFTABLES) is node.nftables
    assert node.log[-2:] == ["disarm userspace", "close userspace"]


async def test_arming_that_fails_is_left_to_the_sync_that_follows() -> None:
    node = Node()
    await node.active.use(NFTABLES)
    node.active.hold()
    await node.active.use(IPTABLES)
    node.iptables.failure = 1.0
    assert await node.active.use(NFTABLES) is node.nftables
    assert node.log[-1] == "close iptables"
