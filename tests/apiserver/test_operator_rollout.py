"""From `kubectl apply` of a ProxyConfig to agents on its nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tests.apiserver.expect import is_ready, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, DAEMONSETS, EVENTS, NODES, PROXIES, REVISIONS, Api, Object, conditions, config
from tests.apiserver.process import OperatorProcess

from proxyconfig_api.objects import names

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]


def of_nodes(api: Api) -> list[str]:
    """The revisions of what nodes do; there is one of the agents' pods as well."""
    return [name for name in api.names(REVISIONS) if "-pods-" not in name]


def test_a_proxyconfig_becomes_agents_on_its_nodes(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))

    status = is_ready(api, "x", 2)

    assert status["nodes"] == {"desired": 2, "updated": 2, "ready": 2, "failing": 0, "unreachable": 0, "overlapping": 0, "unassigned": 0}
    assert {kind: each["status"] for kind, each in conditions(status).items()} == {
        "Ready": "True",
        "Reconciling": "False",
        "Stalled": "False",
        "Progressing": "False",
        "Degraded": "False",
        "Paused": "False",
        "Overlapping": "False",
        "OtherProxyPresent": "False",
    }
    revision = status["revision"]
    pods = api.have(f"{DAEMONSETS}/proxyconfig-x")["spec"]["template"]["metadata"]["labels"][names.POD_REVISION_LABEL]
    assert api.have(f"{PROXIES}/n1")["spec"] == {"configName": "x", "revisionName": revision, "podRevision": pods, "action": "Apply"}
    node_uid = api.have(f"{NODES}/n1")["metadata"]["uid"]
    (owner,) = api.have(f"{PROXIES}/n1")["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Node", "n1", node_uid)
    assert api.have(f"{NODES}/n1")["metadata"]["labels"][names.CONFIG_LABEL] == "x"
    uid = api.have(f"{CONFIGS}/x")["metadata"]["uid"]
    assert [each["uid"] for each in api.have(f"{REVISIONS}/{revision}")["metadata"]["ownerReferences"]] == [uid]
    assert "ownerReferences" not in api.have(f"{DAEMONSETS}/proxyconfig-x")["metadata"], "the garbage collector must not end agents"
    chosen = api.have(f"{DAEMONSETS}/proxyconfig-x")["spec"]["template"]["spec"]
    (of_members, of_leaving) = chosen["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert chosen["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert of_members == {"matchExpressions": [{"key": names.CONFIG_LABEL, "operator": "In", "values": ["x"]}]}
    assert of_leaving == {"matchExpressions": [{"key": names.LEAVING_LABEL, "operator": "In", "values": ["x"]}]}


def test_a_node_that_joins_gets_an_agent(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)

    fleet.join("n2")

    is_ready(api, "x", 2)


def test_a_changed_spec_is_a_new_revision_for_all_nodes_and_restarts_no_pod(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    first = is_ready(api, "x", 2)["revision"]
    template = api.have(f"{DAEMONSETS}/proxyconfig-x")["metadata"]["generation"]

    api.patch(f"{CONFIGS}/x", {"spec": {"conntrack": {"min": 200000}}})

    second = is_ready(api, "x", 2)["revision"]
    assert second != first
    assert api.have(f"{REVISIONS}/{second}")["data"] == {"spec": {"conntrack": {"min": 200000}}}
    assert api.have(f"{REVISIONS}/{second}")["revision"] == api.have(f"{REVISIONS}/{first}")["revision"] + 1
    assert api.have(f"{DAEMONSETS}/proxyconfig-x")["metadata"]["generation"] == template


def test_a_change_of_the_agent_section_changes_the_daemonset_and_no_revision(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    revision = is_ready(api, "x", 1)["revision"]

    api.patch(f"{CONFIGS}/x", {"spec": {"agent": {"logLevel": "debug"}}})

    soon(lambda: "--log-level=debug" in agent_of(api, "x")["args"])
    assert is_ready(api, "x", 1)["revision"] == revision


def test_going_back_to_an_earlier_spec_uses_its_revision_again(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    first = is_ready(api, "x", 1)["revision"]
    api.patch(f"{CONFIGS}/x", {"spec": {"masquerade": {"all": True}}})
    is_ready(api, "x", 1)

    api.patch(f"{CONFIGS}/x", {"spec": {"masquerade": {"all": False}}})

    assert is_ready(api, "x", 1)["revision"] == first
    assert len(of_nodes(api)) == 2
    assert api.have(f"{REVISIONS}/{first}")["revision"] == 3


def test_ten_revisions_are_kept_besides_the_one_in_use(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    for number in range(12):
        api.patch(f"{CONFIGS}/x", {"spec": {"conntrack": {"min": 200000 + number}}})
        is_ready(api, "x", 1)

    soon(lambda: len(of_nodes(api)), until=lambda count: count == 11)


def test_status_says_that_work_has_begun_before_any_node_changes(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)
    version = api.have(f"{CONFIGS}/x")["metadata"]["resourceVersion"]
    with api.watch(f"{CONFIGS}?resourceVersion={version}") as events:
        api.patch(f"{CONFIGS}/x", {"spec": {"conntrack": {"min": 200000}}})
        told = next(event["object"] for event in told_of(events) if event["object"]["status"]["observedGeneration"] == 2)

    assert conditions(told["status"])["Ready"]["status"] == "False"
    assert conditions(told["status"])["Reconciling"]["status"] == "True"
    assert told["status"]["nodes"]["updated"] == 0


def test_nothing_but_the_finalizer_and_the_status_is_ever_written_on_a_proxyconfig(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)
    api.patch(f"{CONFIGS}/x", {"spec": {"masquerade": {"all": True}}})
    is_ready(api, "x", 1)

    metadata = api.have(f"{CONFIGS}/x")["metadata"]

    writers = {(entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in metadata["managedFields"]}
    assert writers == {
        ("user", "Apply", ""),
        ("user", "Update", ""),
        (names.OPERATOR, "Apply", ""),
        (names.OPERATOR, "Apply", "status"),
    }
    (ours,) = [e for e in metadata["managedFields"] if e["manager"] == names.OPERATOR and not e.get("subresource")]
    assert ours["fieldsV1"] == {"f:metadata": {"f:finalizers": {f'v:"{names.FINALIZER}"': {}}}}
    assert "annotations" not in metadata
    assert "labels" not in metadata


def test_what_others_change_of_a_daemonset_is_put_right(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)

    api.patch(f"{DAEMONSETS}/proxyconfig-x", {"spec": {"template": {"spec": {"hostNetwork": False}}}})
    soon(lambda: api.have(f"{DAEMONSETS}/proxyconfig-x")["spec"]["template"]["spec"].get("hostNetwork"))

    api.delete(f"{DAEMONSETS}/proxyconfig-x")
    soon(lambda: api.get(f"{DAEMONSETS}/proxyconfig-x"))


def test_a_settled_cluster_is_left_alone(api: Api, fleet: Fleet, operator: OperatorProcess) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)
    paths = (f"{CONFIGS}/x", f"{PROXIES}/n1", f"{NODES}/n1", f"{DAEMONSETS}/proxyconfig-x")
    before = [api.have(path)["metadata"]["resourceVersion"] for path in paths]
    passes = operator.said().count('"reconciled"')

    api.patch(f"{NODES}/n1", {"metadata": {"labels": {"colour": "red"}}})  # one more pass, for nothing
    soon(lambda: "colour" in api.have(f"{NODES}/n1")["metadata"]["labels"])
    fleet.join("n2")
    is_ready(api, "x", 2)

    assert operator.said().count('"reconciled"') > passes
    after = [api.have(path)["metadata"]["resourceVersion"] for path in (paths[1], paths[3])]
    assert after == [before[1], before[3]]


def test_transitions_are_told_as_events(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)

    told = soon(lambda: {each["reason"]: each for each in api.every(EVENTS)}, until=lambda events: {"RollingOut", "Ready"} <= events.keys())

    assert told["Ready"]["regarding"]["kind"] == "ProxyConfig"
    assert told["Ready"]["note"].startswith("1/1 nodes are ready on x-")
    assert told["Ready"]["reportingController"] == names.OPERATOR


def agent_of(api: Api, name: str) -> Object:
    """The agent's container in the DaemonSet of a ProxyConfig."""
    found: Object = api.have(f"{DAEMONSETS}/proxyconfig-{name}")["spec"]["template"]["spec"]["containers"][0]
    return found


def told_of(events: Iterator[Object]) -> Iterator[Object]:
    """A bounded number of events that carry a status."""
    return (event for event in itertools.islice(events, 50) if "status" in event["object"])
