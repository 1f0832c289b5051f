"""An API server alone: secured as a real one, several at once, gone without a trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster import network, remains
from tests.cluster.command import run
from tests.cluster.controlplane import ControlPlane, controlplane
from tests.cluster.errors import CommandError, ComponentError

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def api() -> Iterator[ControlPlane]:
    with controlplane() as made:
        made.apply(
            *({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in ("a", "b")),
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": "kube-system"}},
        )
        yield made


def test_it_is_reached_from_here_and_from_attached_namespaces(api: ControlPlane) -> None:
    attached = api.attach("client")
    command = (api.program("kubectl"), "--kubeconfig", api.kubeconfig, "get", "--raw", "/readyz")
    assert run(*command) == run(*network.inside(attached.namespace), *command) == "ok"


def test_services_are_dual_stack(api: ControlPlane) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "both", "namespace": "default"}}
    api.apply({**service, "spec": {"ipFamilyPolicy": "RequireDualStack", "ports": [{"port": 80}]}})
    addresses = api.get("/api/v1/namespaces/default/services/both")["spec"]["clusterIPs"]
    assert [":" in address for address in addresses] == [False, True]


def test_a_node_may_change_itself_and_no_other_node(api: ControlPlane) -> None:
    kubectl = (api.program("kubectl"), "--kubeconfig", api.kubeconfig_for("system:node:a", "system:nodes"))
    run(*kubectl, "annotate", "node", "a", "x=y")
    with pytest.raises(CommandError, match="forbidden"):
        run(*kubectl, "annotate", "node", "b", "x=y")


def test_a_bound_token_carries_its_nodes_name(api: ControlPlane) -> None:
    user = api.token_kubeconfig("kube-system", "agent", bound_to="Node/a")
    told = run(api.program("kubectl"), "--kubeconfig", user, "auth", "whoami", "-o", "yaml")
    assert "system:serviceaccount:kube-system:agent" in told
    assert "authentication.kubernetes.io/node-name" in told


def test_admission_policies_are_served(api: ControlPlane) -> None:
    assert "validatingadmissionpolicies" in api.kubectl("api-resources", "-o", "name")


def test_its_state_survives_a_crash_of_the_api_server(api: ControlPlane) -> None:
    api.stop_server()
    assert not api.ready()
    api.start_server()
    assert api.get("/api/v1/nodes/a")["metadata"]["name"] == "a"


def test_a_component_that_the_api_server_misses_is_the_one_that_is_named() -> None:
    with controlplane() as broken:
        broken.stop_server()
        broken.process("etcd").stop(grace_s=0)
        with pytest.raises(ComponentError, match=r"^etcd has ended. Its last lines"):
            broken.start_server()


def test_several_run_at_once_and_each_leaves_nothing() -> None:
    with controlplane() as first, controlplane() as second:
        assert first.server != second.server
        assert first.ready()
        assert second.ready()
        numbers = first.switch.number, second.switch.number
        folders = first.folder, second.folder
    assert [line for number, folder in zip(numbers, folders, strict=True) for line in remains.found(number, folder)] == []
