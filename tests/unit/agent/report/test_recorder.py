"""One call, one change of the node's state: what becomes of it in the status, in health and in metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.clock import START_S, FakeClock
from tests.unit.agent.examples import NODE, ip

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.node.host import HostState
from proxyconfig_agent.report.healthcheck.ports import Unopened
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder, StatusUpdate
from proxyconfig_agent.report.status.conditions import Drift, NodeState
from proxyconfig_agent.report.status.nodeproxy import Reporter
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Finding, Source, Topic
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.objects.nodeproxy import ModeStatus, NodeProxyStatus
from proxyconfig_api.spec.sections import ProxyConfigSpec

DESIRED = Desired(ProxyConfigSpec(), 3, "edge-1")
SYNC = SyncResult(SyncReason.START, ended_at=START_S, took_s=0.1, services=2, endpoints=5)
SLOW = Finding(Topic.SYSCTLS, "SysctlNotSet", "nf_conntrack_max stays")


class States(Reporter):
    """Keeps the states that it is to write."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_nowhere, clock.clock)
        self.all: list[NodeState] = []

    def tell(self, state: NodeState) -> None:
        self.all.append(state)


async def _nowhere(_: NodeProxyStatus) -> None:
    raise AssertionError("nothing is written here")


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.health, self.metrics = Health(self.clock.clock), Metrics("1", "")
        self.recorder = StatusRecorder(ClusterState(NODE), self.metrics, self.health, "1", self.clock.clock)
        self.recorder.node(NODE, known=True)
        self.states = States(self.clock)
        self.recorder.report_to(self.states)

    def synced(self, **changes: Any) -> None:
        self.recorder.synced(StatusUpdate(replace(SYNC, **changes)))

    @property
    def state(self) -> NodeState:
        return self.states.all[-1]

    @property
    def findings(self) -> list[tuple[str, str]]:
        return [(each.reason, each.message) for each in self.state.findings]

    @property
    def unhealthy(self) -> str:
        return str(json.loads(self.health.healthz().body).get("reason", ""))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_reporter_gets_the_state_as_it_is_and_then_each_change_once(rig: Rig) -> None:
    assert [each.programmed for each in rig.states.all] == [False]
    rig.recorder.update(mode=ModeStatus(desired="nftables", effective="nftables"))
    rig.recorder.update(mode=ModeStatus(desired="nftables", effective="nftables"))
    assert [each.mode.effective for each in rig.states.all] == ["", "nftables"]


def test_all_that_a_sync_changes_is_one_change_of_the_state(rig: Rig) -> None:
    refused = (Refusal(ServiceName("shop", "web"), "too much"),)
    sync = replace(SYNC, repaired="1 rule", refused=refused, unrecorded="/run is read-only")
    rig.recorder.synced(StatusUpdate(sync, DESIRED, HostState((SLOW,))))
    assert len(rig.states.all) == 2
    assert (rig.state.generation, rig.state.revision, rig.state.programmed) == (3, "edge-1", True)
    assert (rig.state.services, rig.state.endpoints, rig.state.refused) == (2, 5, refused)
    assert rig.state.drift == Drift(1, START_S, "1 rule")
    assert set(rig.findings) == {("SysctlNotSet", "nf_conntrack_max stays"), ("RulesNotRecorded", "/run is read-only")}
    assert rig.unhealthy == ""


def test_a_failed_sync_is_a_finding_and_unhealthy_until_one_succeeds(rig: Rig) -> None:
    rig.synced()
    rig.synced(reason=SyncReason.PERIOD, error="Permission denied")
    assert rig.findings == [("SyncFailed", "Permission denied")]
    assert rig.unhealthy == "the last audit failed: Permission denied"
    assert rig.state.programmed, "what was programmed is still there"
    rig.synced()
    assert (rig.findings, rig.unhealthy) == ([], "")


def test_only_a_full_sync_knows_whether_the_rules_are_recorded_and_the_scheduler_is_there(rig: Rig) -> None:
    rig.synced(unrecorded="/run is read-only", unscheduled="no lc")
    rig.synced(reason=SyncReason.CHANGE)
    assert rig.findings == [("RulesNotRecorded", "/run is read-only"), ("SchedulerMissing", "no lc")]
    rig.synced(reason=SyncReason.PERIOD)
    assert rig.findings == []


def test_a_source_replaces_its_own_findings_alone(rig: Rig) -> None:
    rig.recorder.set_findings(Source.HOST, SLOW)
    rig.recorder.set_findings(Source.METRICS, Finding(Topic.AGENT, "AddressInUse", "port 10249 is taken"))
    rig.recorder.set_findings(Source.HOST)
    assert rig.findings == [("AddressInUse", "port 10249 is taken")]


def test_ports_that_kube_proxy_has_are_no_finding_of_an_agent_that_programs_nothing_beside_it(rig: Rig) -> None:
    taken = Finding(Topic.AGENT, "PortTaken", "healthz cannot listen on 0.0.0.0:10256")
    waiting = Finding(Topic.TRAFFIC, "WaitingForKubeProxy", "nothing is programmed while a kube-proxy runs on this node")
    rig.recorder.set_findings(Source.HEALTHZ, taken)
    rig.recorder.set_findings(Source.TAKEOVER, waiting)
    assert rig.recorder.state.findings == (waiting,)
    rig.recorder.set_findings(Source.TAKEOVER)
    assert rig.recorder.state.findings == (taken,), "beside a kube-proxy that has ended, or is adopted"
    rig.recorder.update(observing=True)
    assert not rig.recorder.state.findings


def test_what_an_earlier_agent_applied_is_told_though_nothing_is_known_to_be_programmed(rig: Rig) -> None:
    rig.recorder.restarted(NodeProxyStatus(observed_generation=7, observed_revision="edge-0"))
    assert (rig.state.generation, rig.state.revision, rig.state.programmed) == (7, "edge-0", False)


def test_a_removal_leaves_no_services_and_says_how_many_objects_are_left(rig: Rig) -> None:
    rig.recorder.synced(StatusUpdate(SYNC, DESIRED))
    rig.recorder.removed(replace(DESIRED, generation=4, remove=True), left=2, host=(SLOW,))
    assert (rig.state.generation, rig.state.programmed, rig.state.services, rig.state.removed_objects) == (4, False, 0, 2)
    assert rig.findings == [("SysctlNotSet", "nf_conntrack_max stays")]
    assert rig.unhealthy == "this node's proxy was removed"
    rig.recorder.synced(StatusUpdate(SYNC, DESIRED))
    assert (rig.state.removed_objects, rig.unhealthy) == (None, "")


def test_health_check_node_ports_that_are_closed_are_named_up_to_five(rig: Rig) -> None:
    ports = [Unopened(ServiceName("shop", f"web{at}"), ip("10.0.0.1"), 32000 + at, "in use", taken=True) for at in range(7)]
    rig.recorder.unopened(ports)
    ((reason, message),) = rig.findings
    assert reason == "HealthCheckNodePortsClosed"
    assert message.startswith("health check node ports are not open; load balancers will skip this node for: ")
    assert all(str(port) in message for port in ports[:5])
    assert message.endswith(f"{ports[4]} and 2 more")
    rig.recorder.unopened([])
    assert rig.findings == []


def test_changes_of_the_cluster_reach_the_metrics_in_sums(rig: Rig) -> None:
    for _ in range(3):
        rig.recorder.changed(services=1, endpoints=2)
    assert "kubeproxy_sync_proxy_rules_service_changes_total 0.0" in rig.metrics.page().body.decode()
    rig.recorder.beat()
    page = rig.metrics.page().body.decode()
    assert "kubeproxy_sync_proxy_rules_service_changes_total 3.0" in page
    assert "kubeproxy_sync_proxy_rules_endpoint_changes_total 6.0" in page
