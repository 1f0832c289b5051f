"""What a NodeProxy's conditions say about a node."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.status.conditions import MESSAGE_LIMIT, NodeState, updates_of
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.objects.nodeproxy import ModeStatus
from proxyconfig_api.status.conditions import ConditionUpdate

RUNNING = NodeState(
    version="0.1.0", generation=3, revision="edge-1", mode=ModeStatus(desired="nftables", effective="nftables"), programmed=True
)

SMALL = Finding(Topic.CONNTRACK, "SysctlReadOnly", "nf_conntrack_max: Read-only file system")
NOTE = Finding(Topic.CONNTRACK, "LargerValueKept", "nf_conntrack_max is 9 and was kept", harmless=True)
BROKEN = Finding(Topic.TRAFFIC, "ModeUnsupported", "mode ipvs cannot be done here; set spec.mode to nftables")


def by_type(state: NodeState) -> dict[str, ConditionUpdate]:
    return {update.type: update for update in updates_of(state)}


def test_a_good_node_is_ready_and_not_degraded() -> None:
    assert {update.type: update.holds for update in updates_of(RUNNING)} == {
        "Ready": True,
        "Programmed": True,
        "ConntrackConfigured": True,
        "ModulesLoaded": True,
        "Connected": True,
        "SysctlsApplied": True,
        "OtherProxyPresent": False,
        "Degraded": False,
    }


def test_before_the_first_sync_it_is_starting_and_nothing_is_wrong() -> None:
    found = by_type(replace(RUNNING, programmed=False))
    assert (found["Ready"].holds, found["Ready"].reason) == (False, "Starting")
    assert not found["Degraded"].holds


def test_what_traffic_does_not_need_degrades_a_ready_node_and_ready_says_so() -> None:
    found = by_type(replace(RUNNING, findings=(SMALL,)))
    assert found["Ready"].holds
    assert found["Ready"].reason == "SysctlReadOnly"
    assert found["Ready"].message == "the Services are in the kernel; nf_conntrack_max: Read-only file system"
    assert (found["Degraded"].holds, found["Degraded"].reason) == (True, "SysctlReadOnly")
    assert not found["ConntrackConfigured"].holds
    assert found["SysctlsApplied"].holds


def test_a_harmless_note_is_told_and_nothing_turns_bad() -> None:
    found = by_type(replace(RUNNING, findings=(NOTE,)))
    conntrack = found["ConntrackConfigured"]
    assert (conntrack.holds, conntrack.reason, conntrack.message) == (True, "LargerValueKept", NOTE.message)
    assert not found["Degraded"].holds
    assert found["Ready"].reason == "Synced"


def test_without_traffic_it_is_not_ready_and_that_comes_first() -> None:
    found = by_type(replace(RUNNING, findings=(SMALL, BROKEN), refused=(Refusal(ServiceName("a", "b"), "bad"),)))
    assert not found["Ready"].holds
    assert not found["Programmed"].holds
    assert found["Ready"].message == BROKEN.message
    assert found["Degraded"].reason == "ModeUnsupported"
    assert found["Degraded"].message == f"{BROKEN.message}; {SMALL.message}; Services not fully programmed: a/b"


def test_services_set_aside_are_named_each_once_and_not_all_of_many() -> None:
    refused = tuple(Refusal(ServiceName("ns", f"s{number:02}"), "bad") for number in range(25)) * 2
    degraded = by_type(replace(RUNNING, refused=refused))["Degraded"]
    assert degraded.reason == "QuarantinedServices"
    assert degraded.message.startswith("Services not fully programmed: ns/s00, ns/s01, ")
    assert degraded.message.endswith("ns/s19 and 5 more")


def test_the_agents_own_troubles_degrade() -> None:
    taken = Finding(Topic.AGENT, "PortTaken", "healthz cannot listen on 0.0.0.0:10256")
    assert by_type(replace(RUNNING, findings=(taken,)))["Degraded"].reason == "PortTaken"


@pytest.mark.parametrize(("objects", "degraded"), [(0, False), (2, True)])
def test_a_removed_proxy_is_not_ready_and_says_what_is_left(objects: int, degraded: bool) -> None:
    found = by_type(replace(RUNNING, removed_objects=objects, findings=(BROKEN,)))
    assert (found["Ready"].holds, found["Ready"].reason) == (False, "Removed")
    assert found["Degraded"].holds is degraded


def test_no_message_is_endless() -> None:
    findings = tuple(Finding(Topic.SYSCTLS, "SysctlRefused", "x" * 1000) for _ in range(10))
    assert max(len(update.message) for update in updates_of(replace(RUNNING, findings=findings))) <= MESSAGE_LIMIT
