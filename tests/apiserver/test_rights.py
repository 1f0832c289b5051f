"""What operator and agents may do in a cluster where manifests/base is applied: what they need, and nothing else."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, EVENTS, NODES, PODS, PROXIES, Api, Object, config, node, pod
from tests.apiserver.process import OperatorProcess
from tests.cluster.command import run, succeeds
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import CommandError
from tests.support.polling import eventually

from proxyconfig_agent.report.status.heartbeat import Heartbeat
from proxyconfig_api.objects.heartbeat import lease_of
from proxyconfig_api.objects.names import AGENT, API_VERSION, CONFIG_LABEL, NAMESPACE, OPERATOR
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import from_kubeconfig
from proxyconfig_client.connection.errors import ApiError
from proxyconfig_client.process.clock import Clock

pytestmark = pytest.mark.apiserver

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
BASE = Path(__file__).parents[2] / "manifests" / "base"


class User:
    """kubectl with the token of a service account."""

    def __init__(self, plane: ControlPlane, account: str, bound_to: str = "") -> None:
        self._kubectl = (plane.program("kubectl"), "--kubeconfig", plane.token_kubeconfig(NAMESPACE, account, bound_to))

    def does(self, *words: str, given: Object | None = None) -> str:
        """What kubectl prints, or the words with which it fails."""
        try:
            return run(*self._kubectl, *words, given=json.dumps(given) if given else None, timeout_s=60)
        except CommandError as error:
            return str(error)


def may(api: Api, account: str, verb: str, resource: str, *, namespace: str = NAMESPACE) -> bool:
    """Whether the API server lets a service account. `resource` is `plural.group`, `plural.group/name` or `plural.group:subresource`."""
    resource, _, subresource = resource.partition(":")
    resource, _, name = resource.partition("/")
    plural, _, group = resource.partition(".")
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "name": name, "namespace": namespace}
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
    spec = {"user": f"system:serviceaccount:{NAMESPACE}:{account}", "groups": groups, "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(api.create(REVIEWS, review)["status"]["allowed"])


@pytest.fixture(scope="module")
def installed(plane: ControlPlane) -> ControlPlane:
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(BASE))
    eventually(
        lambda: succeeds(plane.program("kubectl"), "--kubeconfig", plane.kubeconfig, "get", "proxyconfig-dev"), within_s=60
    )  # the CRDs have changed
    return plane


@pytest.fixture
def nodes(api: Api, installed: ControlPlane) -> Iterator[Api]:
    """Two nodes, each with a NodeProxy and a pod of an agent."""
    for name in ("n1", "n2"):
        api.create(NODES, node(name, {"zone": "a"}))
        body = {
            "apiVersion": API_VERSION,
            "kind": "NodeProxy",
            "metadata": {"name": name},
            "spec": {"configName": "x", "revisionName": "x-1"},
        }
        api.create(PROXIES, body)
        api.create(PODS, pod(f"agent-{name}", name, "x"))
    admin_is_warned(installed)  # the policies are in force a moment after they were applied
    yield api
    for name in ("n1", "n2"):
        api.delete(f"{PODS}/agent-{name}?gracePeriodSeconds=0")


@pytest.fixture
def agent(nodes: Api, installed: ControlPlane) -> User:  # noqa: ARG001 - its pod has to be there
    return User(installed, AGENT, "Pod/agent-n1")


@pytest.fixture
def operator_account(nodes: Api, installed: ControlPlane) -> User:  # noqa: ARG001 - its nodes have to be there
    return User(installed, OPERATOR)


@pytest.fixture
def omnipotent(api: Api, installed: ControlPlane) -> Iterator[None]:
    """RBAC that somebody made too wide: both may do everything."""
    installed.kubectl(
        *("create", "clusterrolebinding", "too-wide", "--clusterrole=cluster-admin"),
        *(f"--serviceaccount={NAMESPACE}:{account}" for account in (AGENT, OPERATOR)),
    )
    eventually(lambda: may(api, AGENT, "delete", "nodes"), within_s=60)
    yield
    installed.kubectl("delete", "clusterrolebinding", "too-wide")
    eventually(lambda: not may(api, AGENT, "delete", "nodes"), within_s=60)


def status_of(name: str) -> Object:
    return {"apiVersion": API_VERSION, "kind": "NodeProxy", "metadata": {"name": name}, "status": {"version": "1"}}


def apply_status(user: User, name: str) -> str:
    return user.does("apply", "--server-side", "--subresource=status", "--field-manager=agent", "-f", "-", given=status_of(name))


def admin_is_warned(plane: ControlPlane) -> None:
    attempts = itertools.count()

    def warned() -> bool:
        command = [str(plane.program("kubectl")), "--kubeconfig", str(plane.kubeconfig), "label", "npx", "n1", f"attempt=a{next(attempts)}"]
        done = subprocess.run([*command, "--overwrite"], capture_output=True, text=True, check=True, timeout=60)
        return "NodeProxy n1 is written by the operator, which will undo this: change its ProxyConfig instead" in done.stderr

    eventually(warned, within_s=60, every_s=0.3)


def test_an_agent_writes_the_status_of_its_own_node(agent: User, nodes: Api) -> None:
    assert "serverside-applied" in apply_status(agent, "n1")
    assert nodes.have(f"{PROXIES}/n1")["status"]["version"] == "1"


def test_an_agent_may_not_write_the_status_of_another_node(agent: User, nodes: Api) -> None:
    assert "the agent of node n1 may not write the NodeProxy of node n2" in apply_status(agent, "n2")
    assert "version" not in nodes.have(f"{PROXIES}/n2")["status"]


@pytest.mark.usefixtures("nodes")
def test_a_token_that_is_bound_to_no_pod_writes_nothing(installed: ControlPlane) -> None:
    assert "the agent's token is not bound to a pod on a node" in apply_status(User(installed, AGENT), "n1")


@pytest.mark.usefixtures("omnipotent")
def test_an_agent_writes_nothing_but_its_status_even_if_rbac_is_too_wide(agent: User) -> None:
    says = "an agent may write only its heartbeat and the status of its NodeProxy"
    assert says in agent.does("patch", "npx", "n1", "--type=merge", "-p", '{"spec": {"revisionName": "mine"}}')
    assert says in agent.does("delete", "npx", "n1")
    assert says in agent.does("create", "-f", "-", given=status_of("n3") | {"spec": {"configName": "x", "revisionName": "x-1"}})
    assert says in agent.does("create", "-f", "-", given=config("mine"))


def lease(name: str, namespace: str = NAMESPACE) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {"holderIdentity": "me"}}


async def test_an_agent_renews_the_heartbeat_of_its_own_node(installed: ControlPlane, nodes: Api) -> None:
    uid = nodes.have(f"{PROXIES}/n1")["metadata"]["uid"]
    config = from_kubeconfig(installed.token_kubeconfig(NAMESPACE, AGENT, "Pod/agent-n1"))
    async with ApiClient(config, user_agent="test") as client:
        heartbeat, another = (Heartbeat(client.call, node, lambda: uid, clock=Clock()) for node in ("n1", "n2"))
        await heartbeat.renew(uid)
        first = nodes.have(f"{LEASES}/{lease_of('n1')}")
        await heartbeat.renew(uid)
        second = nodes.have(f"{LEASES}/{lease_of('n1')}")
        with pytest.raises(ApiError, match="the agent of node n1 may write no Lease but agent-n1"):
            await another.renew(uid)
    assert second["spec"]["renewTime"] > first["spec"]["renewTime"]
    assert second["spec"]["holderIdentity"] == heartbeat.holder
    nodes.delete(f"{LEASES}/{lease_of('n1')}")


@pytest.mark.usefixtures("omnipotent")
def test_an_agent_writes_no_other_lease_even_if_rbac_is_too_wide(agent: User, nodes: Api) -> None:
    says, patch = "the agent of node n1 may write no Lease but agent-n1", ("--type=merge", "-p", '{"spec": {"holderIdentity": "me"}}')
    nodes.create(LEASES, lease(OPERATOR))
    try:
        assert says in agent.does("create", "-f", "-", given=lease(lease_of("n2")))
        assert says in agent.does("create", "-f", "-", given=lease(lease_of("n1"), "default"))
        assert says in agent.does("patch", "lease", OPERATOR, "-n", NAMESPACE, *patch)
        assert says in agent.does("delete", "lease", OPERATOR, "-n", NAMESPACE)
    finally:
        nodes.delete(f"{LEASES}/{OPERATOR}")


def test_a_status_carries_nothing_else_along(agent: User, nodes: Api) -> None:
    before = nodes.have(f"{PROXIES}/n1")
    body = {"metadata": {"labels": {"mine": "1"}, "finalizers": ["mine/x"]}, "spec": {"revisionName": "mine"}, "status": {"version": "m"}}
    assert "patched" in agent.does("patch", "npx", "n1", "--subresource=status", "--type=merge", "-p", json.dumps(body))
    after = nodes.have(f"{PROXIES}/n1")
    assert after["status"]["version"] == "m"
    assert after["spec"] == before["spec"]
    assert after["metadata"].get("labels") == before["metadata"].get("labels")
    assert "finalizers" not in after["metadata"]


AGENT_MAY = [
    *((verb, resource) for verb in ("get", "list", "watch") for resource in ("services", "nodes", "nodeproxies.proxyconfig.dev")),
    *((verb, resource) for verb in ("list", "watch") for resource in ("endpointslices.discovery.k8s.io", "servicecidrs.networking.k8s.io")),
    ("patch", "nodeproxies.proxyconfig.dev:status"),
    ("get", "controllerrevisions.apps"),
    *((verb, "leases.coordination.k8s.io") for verb in ("create", "patch")),
    *((verb, "events.events.k8s.io") for verb in ("get", "create", "patch")),
]
AGENT_MAY_NOT = [
    ("get", "secrets"),
    ("list", "pods"),
    ("get", "configmaps"),
    ("patch", "nodes"),
    ("patch", "services"),
    ("list", "controllerrevisions.apps"),
    ("create", "controllerrevisions.apps"),
    ("patch", "nodeproxies.proxyconfig.dev"),
    ("delete", "leases.coordination.k8s.io"),
    ("list", "proxyconfigs.proxyconfig.dev"),
    ("create", "serviceaccounts:token"),
]
OPERATOR_MAY = [
    *((verb, "proxyconfigs.proxyconfig.dev") for verb in ("list", "watch", "patch")),
    ("patch", "proxyconfigs.proxyconfig.dev:status"),
    *((verb, "nodeproxies.proxyconfig.dev") for verb in ("list", "watch", "create", "patch", "delete")),
    *((verb, "nodes") for verb in ("list", "watch", "patch")),
    *((verb, "daemonsets.apps") for verb in ("list", "watch", "create", "patch", "delete")),
    *((verb, "controllerrevisions.apps") for verb in ("list", "watch", "create", "patch", "delete")),
    *((verb, "pods") for verb in ("list", "watch", "create", "patch", "delete")),
    *((verb, "leases.coordination.k8s.io") for verb in ("create", "list", "watch")),
    ("update", f"leases.coordination.k8s.io/{OPERATOR}"),
    ("create", "events.events.k8s.io"),
]
OPERATOR_MAY_NOT = [
    ("get", "secrets"),
    ("create", "services"),
    ("delete", "nodes"),
    ("create", "proxyconfigs.proxyconfig.dev"),
    ("delete", "proxyconfigs.proxyconfig.dev"),
    ("patch", "nodeproxies.proxyconfig.dev:status"),
    ("patch", "services"),
    ("update", "leases.coordination.k8s.io/another"),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("account", "allowed", "refused"),
    [pytest.param(AGENT, AGENT_MAY, AGENT_MAY_NOT, id="agent"), pytest.param(OPERATOR, OPERATOR_MAY, OPERATOR_MAY_NOT, id="operator")],
)
def test_rights_are_what_is_needed_and_no_more(
    api: Api, account: str, allowed: list[tuple[str, str]], refused: list[tuple[str, str]]
) -> None:
    assert [right for right in allowed if not may(api, account, *right)] == []
    assert [right for right in refused if may(api, account, *right)] == []


@pytest.mark.usefixtures("installed")
def test_rights_in_a_namespace_end_there(api: Api) -> None:
    assert not may(api, AGENT, "get", "controllerrevisions.apps", namespace="kube-system")
    assert not may(api, AGENT, "patch", "leases.coordination.k8s.io", namespace="kube-node-lease")
    assert not may(api, OPERATOR, "create", "daemonsets.apps", namespace="kube-system")
    assert not may(api, OPERATOR, "create", "pods", namespace="kube-system")


def test_the_operator_labels_nodes(operator_account: User, nodes: Api) -> None:
    assert "labeled" in operator_account.does("label", "node", "n1", f"{CONFIG_LABEL}=x")
    assert "labeled" in operator_account.does("label", "node", "n1", f"{CONFIG_LABEL}=y", "--overwrite")
    assert nodes.have(f"{NODES}/n1")["metadata"]["labels"][CONFIG_LABEL] == "y"
    assert "unlabeled" in operator_account.does("label", "node", "n1", f"{CONFIG_LABEL}-")


@pytest.mark.usefixtures("omnipotent")
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("label", "node", "n1", "other=x"), id="another-label"),
        pytest.param(("label", "node", "n1", "zone-"), id="remove-a-label"),
        pytest.param(("label", "node", "n1", "zone=b", "--overwrite"), id="change-a-label"),
        pytest.param(("annotate", "node", "n1", "a=b"), id="annotation"),
        pytest.param(("taint", "node", "n1", "a=b:NoSchedule"), id="taint"),
        pytest.param(("patch", "node", "n1", "-p", '{"spec": {"unschedulable": true}}'), id="cordon"),
        pytest.param(("delete", "node", "n1"), id="delete"),
        pytest.param(("patch", "node", "n1", "--subresource=status", "--type=merge", "-p", '{"status": {"phase": "x"}}'), id="status"),
    ],
)
def test_the_operator_changes_nothing_else_of_a_node_even_if_rbac_is_too_wide(operator_account: User, words: tuple[str, ...]) -> None:
    assert "the operator may change only the labels proxyconfig.dev/config and proxyconfig.dev/leaving of a Node" in operator_account.does(
        *words
    )


def test_whoever_edits_a_nodeproxy_is_told_where_the_change_belongs(nodes: Api, installed: ControlPlane) -> None:
    admin_is_warned(installed)
    assert nodes.have(f"{PROXIES}/n1")["metadata"]["labels"]["attempt"]


@pytest.mark.usefixtures("installed")
def test_the_operator_needs_no_more_rights_than_it_has(plane: ControlPlane, api: Api, fleet: Fleet, tmp_path: Path) -> None:
    """From a ProxyConfig to ready nodes, through a change, a node that leaves, and back to nothing, with its own token."""
    with OperatorProcess(plane.token_kubeconfig(NAMESPACE, OPERATOR), tmp_path / "operator.log", "--removal-deadline", "8") as operator:
        fleet.join("n1", "n2")
        api.apply(f"{CONFIGS}/x", config("x"))
        eventually(lambda: summary(api) == "2/2", within_s=60)
        revision = api.have(f"{CONFIGS}/x")["status"]["revision"]

        api.patch(f"{CONFIGS}/x", {"spec": {"conntrack": {"min": 200000}, "agent": {"logLevel": "debug"}}})
        eventually(lambda: api.have(f"{CONFIGS}/x")["status"]["revision"] != revision and summary(api) == "2/2", within_s=60)
        api.patch(f"{CONFIGS}/x", {"spec": {"nodeSelector": {"matchLabels": {"kubernetes.io/os": "none"}}}})
        eventually(lambda: summary(api) == "0/0" and not api.names(PROXIES), within_s=60)
        api.patch(f"{CONFIGS}/x", {"spec": {"nodeSelector": {"matchLabels": {"kubernetes.io/os": None}}}})
        eventually(lambda: summary(api) == "2/2", within_s=60)

        api.delete(f"{CONFIGS}/x")
        eventually(lambda: api.get(f"{CONFIGS}/x") is None and not api.names(PROXIES), within_s=60)
        assert eventually(lambda: api.names(EVENTS), within_s=60)
        assert "forbidden" not in operator.said().lower(), operator.said()


def summary(api: Api) -> str:
    return str(api.have(f"{CONFIGS}/x").get("status", {}).get("summary", ""))
