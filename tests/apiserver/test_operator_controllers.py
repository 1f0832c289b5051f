"""With Kubernetes' own controllers: what the DaemonSet controller and the garbage collector make of what the operator writes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.apiserver.conftest import MANIFESTS
from tests.apiserver.expect import gone, is_ready, soon
from tests.apiserver.fleet import renew
from tests.apiserver.objects import CONFIGS, DAEMONSETS, NODES, PODS, PROXIES, REVISIONS, Api, Object, config, node, ready
from tests.apiserver.process import OperatorProcess
from tests.cluster.controlplane import ControlPlane, controlplane

from proxyconfig_api.objects import names

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(400)]

ROOM = {"cpu": "4", "memory": "8Gi", "pods": "100"}


@pytest.fixture(scope="module")
def managed() -> Iterator[ControlPlane]:
    with controlplane(controllers=True) as made:
        made.kubectl("apply", "--server-side", "-k", str(MANIFESTS))
        yield made


@pytest.fixture
def cluster(managed: ControlPlane, tmp_path: Path) -> Iterator[Api]:
    """Two nodes that belong to a ProxyConfig x, with agents that the DaemonSet controller has made."""
    api = Api(managed)
    for name in ("n1", "n2"):
        api.create(NODES, node(name))
        status = {"conditions": [ready(holds=True)], "allocatable": ROOM, "capacity": ROOM}
        api.patch(f"{NODES}/{name}/status", {"status": status})
    account = managed.token_kubeconfig(names.NAMESPACE, names.OPERATOR)
    with OperatorProcess(account, tmp_path / "operator.log", "--removal-deadline", "600"):
        api.apply(f"{CONFIGS}/x", config("x"))
        serve(api, 2)
        yield api
        for name in api.names(CONFIGS):
            api.delete(f"{CONFIGS}/{name}")
        soon(lambda: (work(api), left(api)), until=lambda seen: seen == (set(), []))
    for name in api.names(NODES):
        api.delete(f"{NODES}/{name}")


def test_the_nodeproxy_goes_with_its_node(cluster: Api) -> None:
    cluster.delete(f"{NODES}/n2")

    gone(cluster, f"{PROXIES}/n2")
    serve(cluster, 1)


def test_the_daemonset_controller_leaves_our_revisions_alone(cluster: Api) -> None:
    ours = [each for each in cluster.every(REVISIONS) if each["metadata"]["ownerReferences"][0]["kind"] == "ProxyConfig"]

    of_nodes, of_pods = sorted(ours, key=lambda each: "-pods-" in each["metadata"]["name"])
    assert of_nodes["data"] == {"spec": {}}
    assert of_pods["data"]["template"]["spec"]["hostNetwork"]
    assert len(cluster.names(REVISIONS)) == 3, "two of ours, one of the DaemonSet's"


def test_deleted_in_the_foreground_agents_stay_until_they_have_removed_everything(cluster: Api) -> None:
    cluster.delete(f"{CONFIGS}/x?propagationPolicy=Foreground")
    soon(lambda: all(each["spec"]["action"] == "Remove" for each in cluster.every(PROXIES)))
    soon(lambda: not [each for each in cluster.names(REVISIONS) if each.startswith("x-")])  # the garbage collector has been here

    assert cluster.names(DAEMONSETS) == ["proxyconfig-x"]
    assert [each["metadata"].get("deletionTimestamp") for each in agents(cluster)] == [None, None]

    soon(lambda: work(cluster) == set() and cluster.get(f"{CONFIGS}/x") is None)
    soon(lambda: cluster.names(DAEMONSETS) == [])


def test_an_agents_pod_stays_on_a_node_that_is_given_back_until_that_is_done(cluster: Api) -> None:
    cluster.patch(f"{CONFIGS}/x", {"spec": {"removalPolicy": "Keep"}})
    before = pods_by_node(cluster)
    cluster.delete(f"{CONFIGS}/x")

    def labels() -> list[bool]:
        work(cluster)
        every = [cluster.have(f"{NODES}/{name}")["metadata"]["labels"] for name in cluster.names(NODES)]
        return [names.LEAVING_LABEL in each and names.CONFIG_LABEL not in each for each in every]

    soon(labels, until=[True, True].__eq__)
    cluster.delete(f"{PODS}/{before['n1']}?gracePeriodSeconds=0")  # what is made of that node now was made of the other
    soon(lambda: work(cluster) == {"n1", "n2"} and pods_by_node(cluster)["n1"] != before["n1"])
    assert pods_by_node(cluster)["n2"] == before["n2"]
    cluster.patch(f"{CONFIGS}/x", {"spec": {"removalPolicy": "Remove"}})
    soon(lambda: work(cluster) == set() and cluster.get(f"{CONFIGS}/x") is None)


def test_one_of_the_same_name_may_follow_at_once(cluster: Api) -> None:
    cluster.delete(f"{CONFIGS}/x")
    soon(lambda: work(cluster) is not None and cluster.get(f"{CONFIGS}/x") is None)

    cluster.apply(f"{CONFIGS}/x", config("x"))

    serve(cluster, 2)


def left(api: Api) -> list[str]:
    """What the operator, the DaemonSet controller and the garbage collector have still to delete."""
    agents_only = f"{PODS}?labelSelector={names.CONFIG_LABEL}"
    return [name for path in (CONFIGS, DAEMONSETS, REVISIONS, agents_only) for name in api.names(path)]


def agents(api: Api) -> list[Object]:
    """The agents' pods that the scheduler has given to a node."""
    mine = (each for each in api.every(PODS) if names.CONFIG_LABEL in each["metadata"].get("labels", {}))
    return [each for each in mine if each["spec"].get("nodeName")]


def pods_by_node(api: Api) -> dict[str, str]:
    """Names of the agents' pods."""
    return {each["spec"]["nodeName"]: each["metadata"]["name"] for each in agents(api) if "deletionTimestamp" not in each["metadata"]}


def serve(api: Api, nodes: int) -> None:
    """Let kubelets and agents work until all nodes are ready."""

    def ready_now() -> bool:
        return len(work(api)) == nodes and bool(is_ready(api, "x", nodes, within_s=0))

    soon(ready_now)


def work(api: Api) -> set[str]:
    """Do what kubelets and agents have to do now; return the nodes on which an agent runs."""
    running = set()
    for name in api.names(NODES):  # a node that has not been heard of for 40 seconds is taken for dead
        alive = ready(holds=True) | {"lastHeartbeatTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        api.patch(f"{NODES}/{name}/status", {"status": {"conditions": [alive]}})
    for each in agents(api):
        path, where = f"{PODS}/{each['metadata']['name']}", each["spec"]["nodeName"]
        if "deletionTimestamp" in each["metadata"]:
            api.delete(f"{path}?gracePeriodSeconds=0")
        elif api.get(f"{NODES}/{where}"):
            running.add(where)
            container = {"name": names.AGENT, "ready": True, "image": "", "imageID": "", "restartCount": 0, "state": {"running": {}}}
            api.patch(
                f"{path}/status", {"status": {"phase": "Running", "conditions": [ready(holds=True)], "containerStatuses": [container]}}
            )
            report(api, where)
    return running


def report(api: Api, name: str) -> None:
    """Let an agent say that it is there, and that it has done what its NodeProxy asks for.

    The operator may see the report before the start of the pod, and then waits for a heartbeat.
    """
    proxy = api.get(f"{PROXIES}/{name}")
    if proxy is None:
        return
    renew(api, proxy)
    if proxy.get("status", {}).get("observedGeneration") == proxy["metadata"]["generation"]:
        return
    removing = proxy["spec"]["action"] == "Remove"
    status: Object = {"observedGeneration": proxy["metadata"]["generation"], "observedRevision": proxy["spec"]["revisionName"]}
    status["conditions"] = [ready(holds=not removing, reason="Removed" if removing else "Synced")]
    status |= {"removed": {"objects": 0}} if removing else {}
    metadata = {"name": name, "uid": proxy["metadata"]["uid"]}
    body = {"apiVersion": names.API_VERSION, "kind": "NodeProxy", "metadata": metadata, "status": status}
    api.apply(f"{PROXIES}/{name}/status", body, manager=names.AGENT)
