"""The agent against a real API server and a real kernel: what it is ordered to do, and the faults that it has to live with."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apiserver.agentprocess import (
    NODE,
    SERVICES,
    SLICES,
    AgentProcess,
    conditions,
    nft,
    order,
    pid_of,
    served,
    service,
    status,
)
from tests.apiserver.objects import EVENTS, NODES, PROXIES, Api, Object, node
from tests.cluster.controlplane import ControlPlane
from tests.cluster.network import Attachment
from tests.support.polling import eventually

from proxyconfig_api.objects import heartbeat

pytestmark = [pytest.mark.apiserver, pytest.mark.kernel]

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{heartbeat.NAMESPACE}/leases/{heartbeat.lease_of(NODE)}"
READABLE = "nodes,nodeproxies.proxyconfig.dev,nodeproxies.proxyconfig.dev/status,controllerrevisions.apps,endpointslices.discovery.k8s.io"

KUBERNETES = "10.96.0.1"
"""The ClusterIP of Service default/kubernetes, which the API server makes."""


@pytest.fixture(scope="module")
def home(plane: ControlPlane) -> Attachment:
    return plane.attach("agent")


@pytest.fixture
def agent(plane: ControlPlane, api: Api, home: Attachment, tmp_path: Path) -> Iterator[AgentProcess]:
    api.create(NODES, node(NODE))
    process = AgentProcess(home, plane.kubeconfig, tmp_path / "agent.log")
    try:
        with process:
            yield process
        assert "Traceback" not in process.log.read_text(), process.log.read_text()
    finally:
        for name in set(api.names(SERVICES)) - {"kubernetes"}:
            api.delete(f"{SERVICES}/{name}")
        api.delete(SLICES + "?labelSelector=test")
        for family in ("ip", "ip6"):
            nft(home, "delete", "table", family, "proxyconfig")


def events(api: Api, reason: str) -> list[Object]:
    return [event for event in api.every(EVENTS) if event["reason"] == reason]


def test_an_order_is_carried_out_reported_and_taken_back(agent: AgentProcess, api: Api, home: Attachment) -> None:
    eventually(lambda: agent.said("waiting for a NodeProxy"), 60)
    assert served(home) == set()
    order(api, "x-1")
    eventually(lambda: conditions(api).get("Programmed"), 60, until=lambda programmed: programmed == ("True", "Synced"))
    assert (status(api)["observedRevision"], status(api)["services"], served(home)) == ("x-1", 1, {KUBERNETES})
    order(api, "x-1", action="Remove")
    eventually(lambda: status(api).get("removed"), 60, until=lambda removed: removed == {"objects": 0})
    assert conditions(api)["Ready"] == ("False", "Removed")
    assert "proxyconfig" not in nft(home, "list", "tables")
    order(api, "x-1")
    eventually(lambda: served(home), 60, until=lambda found: found == {KUBERNETES})
    eventually(lambda: "removed" not in status(api), 60)


def test_an_agent_that_starts_with_the_request_of_a_removal_proves_it(
    agent: AgentProcess, api: Api, plane: ControlPlane, home: Attachment, tmp_path: Path
) -> None:
    order(api, "x-1")
    eventually(lambda: conditions(api).get("Programmed"), 120, until=lambda programmed: programmed == ("True", "Synced"))
    agent.end(signal.SIGKILL)
    order(api, "x-1", action="Remove")
    with AgentProcess(home, plane.kubeconfig, tmp_path / "successor.log") as successor:
        eventually(lambda: status(api).get("removed"), 120, until=lambda removed: removed == {"objects": 0})
        assert "status not written" not in successor.log.read_text()
    assert "proxyconfig" not in nft(home, "list", "tables")


def test_an_agent_shows_that_it_lives_by_a_lease_that_its_nodeproxy_owns(
    agent: AgentProcess, api: Api, plane: ControlPlane, home: Attachment, tmp_path: Path
) -> None:
    order(api, "x-1")
    agent.synced("start")
    eventually(lambda: api.get(LEASE), 60)
    first = api.have(LEASE)
    proxy = api.have(f"{PROXIES}/{NODE}")
    assert [(owner["kind"], owner["uid"]) for owner in first["metadata"]["ownerReferences"]] == [("NodeProxy", proxy["metadata"]["uid"])]
    assert first["metadata"]["labels"] == dict(heartbeat.LABELS)
    agent.end(signal.SIGKILL)
    with AgentProcess(home, plane.kubeconfig, tmp_path / "successor.log") as successor:
        successor.synced("start")
        eventually(lambda: api.have(LEASE)["spec"]["holderIdentity"] != first["spec"]["holderIdentity"], 60)


def test_a_restarted_agent_that_cannot_read_the_cluster_is_not_ready(
    agent: AgentProcess, api: Api, plane: ControlPlane, home: Attachment, tmp_path: Path
) -> None:
    order(api, "x-1")
    agent.synced("start")
    eventually(lambda: conditions(api).get("Programmed"), 60, until=lambda programmed: programmed == ("True", "Synced"))
    agent.end(signal.SIGKILL)
    plane.kubectl("create", "serviceaccount", "blind", "-n", "default")
    plane.kubectl("create", "clusterrole", "blind", "--verb=get,list,watch,patch", f"--resource={READABLE}")
    plane.kubectl("create", "clusterrolebinding", "blind", "--clusterrole=blind", "--serviceaccount=default:blind")
    try:
        with AgentProcess(home, plane.token_kubeconfig("default", "blind"), tmp_path / "blind.log"):
            eventually(lambda: conditions(api).get("Ready"), 60, until=lambda ready: ready == ("False", "ListFailed"))
            assert conditions(api)["Connected"] == ("False", "ListFailed")
            words = next(each["message"] for each in status(api)["conditions"] if each["type"] == "Connected")
            assert 'cannot list resource "services"' in words
            assert served(home) == {KUBERNETES}, "rules that are in the kernel stay"
    finally:
        plane.kubectl("delete", "clusterrolebinding,clusterrole", "blind")
        plane.kubectl("delete", "serviceaccount", "blind", "-n", "default")


def test_a_new_revision_is_applied_without_a_restart(agent: AgentProcess, api: Api) -> None:
    order(api, "x-1")
    agent.synced("start")
    before = pid_of(agent)
    order(api, "x-2", {"masquerade": {"all": True}})
    eventually(lambda: status(api).get("observedRevision"), 60, until=lambda revision: revision == "x-2")
    assert agent.synced("settings")["operations"] > 0
    assert pid_of(agent) == before
    order(api, "x-3", {"masquerade": {"all": True}, "sync": {"minSyncPeriod": "1s"}})
    eventually(lambda: status(api).get("observedRevision"), 60, until=lambda revision: revision == "x-3")


def test_a_nodeproxy_that_was_deleted_and_made_anew_has_its_status_again(agent: AgentProcess, api: Api, home: Attachment) -> None:
    order(api, "x-1")
    agent.synced("start")
    eventually(lambda: conditions(api).get("Ready"), 60, until=lambda ready: ready is not None and ready[0] == "True")
    api.delete(f"{PROXIES}/{NODE}")
    eventually(lambda: status(api) == {}, 60)
    assert served(home) == {KUBERNETES}, "the last order stays in effect"
    order(api, "x-1")
    eventually(lambda: conditions(api).get("Ready"), 60, until=lambda ready: ready is not None and ready[0] == "True")


def test_services_and_endpoints_are_followed(agent: AgentProcess, api: Api, home: Attachment) -> None:
    order(api, "x-1")
    agent.synced("start")
    api.create(SERVICES, service("web", "10.96.7.7"))
    eventually(lambda: served(home), 60, until=lambda found: found == {KUBERNETES, "10.96.7.7"})
    piece = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web", "test": ""}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080}],
        "endpoints": [{"addresses": ["10.244.1.7"]}],
    }
    api.create(SLICES, piece)
    eventually(lambda: nft(home, "list", "map", "ip", "proxyconfig", "endpoints"), 60, until=lambda listing: "10.244.1.7" in listing)
    api.delete(f"{SERVICES}/web")
    eventually(lambda: served(home), 60, until=lambda found: found == {KUBERNETES})
    assert "10.244.1.7" not in nft(home, "list", "map", "ip", "proxyconfig", "endpoints")


def test_while_the_api_server_is_away_services_stay_and_changes_catch_up(
    agent: AgentProcess, api: Api, plane: ControlPlane, home: Attachment
) -> None:
    order(api, "x-1")
    agent.synced("start")
    api.create(SERVICES, service("goes", "10.96.7.1"))
    eventually(lambda: "10.96.7.1" in served(home))
    plane.stop_server()
    eventually(lambda: agent.said("watch interrupted"), 60)
    assert served(home) == {KUBERNETES, "10.96.7.1"}
    plane.start_server()
    api.delete(f"{SERVICES}/goes")
    # A server that says that it is ready may still have to learn from which ranges it gives addresses.
    eventually(lambda: api.create(SERVICES, service("comes", "10.96.7.2")), 60)
    eventually(lambda: served(home), 60, until=lambda found: found == {KUBERNETES, "10.96.7.2"})


def test_an_agent_that_is_killed_leaves_services_and_its_successor_adopts_them(
    agent: AgentProcess, api: Api, plane: ControlPlane, home: Attachment, tmp_path: Path
) -> None:
    order(api, "x-1")
    agent.synced("start")
    before = nft(home, "list", "ruleset")
    agent.end(signal.SIGKILL)
    assert served(home) == {KUBERNETES}
    with AgentProcess(home, plane.kubeconfig, tmp_path / "successor.log") as successor:
        assert successor.synced("start")["operations"] == 0
    assert nft(home, "list", "ruleset") == before


def test_a_table_that_was_deleted_by_hand_is_repaired_counted_and_told(agent: AgentProcess, api: Api, home: Attachment) -> None:
    order(api, "x-1")
    agent.synced("start")
    nft(home, "delete", "table", "ip", "proxyconfig")
    eventually(lambda: served(home), 60, until=lambda found: found == {KUBERNETES})
    drift = eventually(lambda: status(api).get("drift", {}), 60, until=lambda drift: drift.get("repairs") == 1)
    assert drift["what"]
    assert [event["regarding"]["name"] for event in eventually(lambda: events(api, "DriftRepaired"))] == [NODE]


def test_a_service_with_an_address_of_the_wrong_family_is_named_and_harms_no_other(agent: AgentProcess, api: Api, home: Attachment) -> None:
    order(api, "x-1")
    agent.synced("start")
    api.create(SERVICES, service("bad", "10.96.7.3", externalIPs=["2001:db8::7"]))
    api.create(SERVICES, service("good", "10.96.7.4"))
    (named,) = eventually(lambda: status(api).get("quarantined", []), 60)
    assert named["service"] == "default/bad"
    assert "2001:db8::7 is IPv6, but the Service has no IPv6 cluster IP" in named["reason"]
    eventually(lambda: served(home), 60, until=lambda found: {"10.96.7.3", "10.96.7.4"} <= found)  # "good" came after "bad"
    assert eventually(lambda: conditions(api)["Degraded"], 60, until=lambda each: each[0] == "True")[1] == "QuarantinedServices"
    (event,) = eventually(lambda: events(api, "Quarantined"), 60)
    assert (event["regarding"]["name"], event["reportingInstance"]) == ("bad", NODE)
    api.delete(f"{SERVICES}/bad")
    eventually(lambda: not status(api).get("quarantined"), 60)


def test_a_mode_that_the_node_cannot_do_is_a_condition_and_what_runs_goes_on(agent: AgentProcess, api: Api, home: Attachment) -> None:
    order(api, "x-1")
    agent.synced("start")
    order(api, "x-2", {"mode": "ipvs"})
    eventually(lambda: conditions(api).get("Programmed"), 60, until=lambda each: each == ("False", "ModeUnsupported"))
    assert status(api)["observedRevision"] == "x-1"
    assert served(home) == {KUBERNETES}
    order(api, "x-1")
    eventually(lambda: conditions(api).get("Programmed"), 60, until=lambda each: each == ("True", "Synced"))


def test_a_nodeproxy_that_is_gone_changes_nothing(agent: AgentProcess, api: Api, home: Attachment) -> None:
    order(api, "x-1")
    agent.synced("start")
    api.delete(f"{PROXIES}/{NODE}")
    api.delete(f"{NODES}/{NODE}")
    api.create(SERVICES, service("late", "10.96.7.5"))
    eventually(lambda: "10.96.7.5" in served(home), 60)


def test_a_second_agent_waits_until_the_first_has_ended(
    agent: AgentProcess, api: Api, plane: ControlPlane, home: Attachment, tmp_path: Path
) -> None:
    order(api, "x-1")
    agent.synced("start")
    with AgentProcess(home, plane.kubeconfig, tmp_path / "second.log") as second:
        eventually(lambda: second.said("another agent runs in this network namespace; waiting for its end"), 60)
        agent.end(signal.SIGTERM)
        assert second.synced("start")["operations"] == 0


def test_a_clean_up_leaves_nothing_and_does_not_fight_an_agent(
    agent: AgentProcess, api: Api, plane: ControlPlane, home: Attachment, tmp_path: Path
) -> None:
    order(api, "x-1")
    agent.synced("start")
    with AgentProcess(home, plane.kubeconfig, tmp_path / "early.log", "--cleanup") as early:
        assert early.end() == 1
    assert "stop it first" in early.log.read_text()
    assert served(home) == {KUBERNETES}
    agent.end(signal.SIGTERM)
    with AgentProcess(home, plane.kubeconfig, tmp_path / "late.log", "--cleanup") as late:
        assert late.end() == 0
    assert "0 kernel objects of proxyconfig are left" in late.log.read_text()
    assert "proxyconfig" not in nft(home, "list", "tables")
