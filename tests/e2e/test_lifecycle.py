"""What a user does to pods and ProxyConfigs while requests go on from a pod and from outside: none is lost."""

from __future__ import annotations

import pytest
from tests.e2e.conftest import proxy_config
from tests.e2e.installed import CONFIG, Installed, condition
from tests.e2e.web import Web
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

NO_SUCH_IMAGE = "registry.invalid/none:1"


@pytest.fixture(autouse=True)
def _all_answer(everywhere: Installed, served: Web) -> None:
    assert everywhere is served.product
    for command in (served.outside(0), served.outside(1), served.from_pod()):
        eventually(lambda command=command: served.answered_by(3, command), within_s=180, every_s=0.5)  # type: ignore[misc]


def test_a_hot_field_is_applied_without_a_restart_and_without_a_lost_request(served: Web, everywhere: Installed) -> None:
    def agents() -> list[tuple[str, int]]:
        pods = everywhere.agents()
        return sorted((pod["metadata"]["uid"], sum(each["restartCount"] for each in pod["status"]["containerStatuses"])) for pod in pods)

    before, revision = agents(), everywhere.config()["status"]["revision"]
    with served.under_traffic(seconds=8):
        everywhere.patch({"conntrack": {"min": 262144}, "masquerade": {"all": True}})
        everywhere.eventually(everywhere.config, lambda found: found["status"]["revision"] != revision)
        ready = everywhere.ready()
        for node in served.local.nodes:
            assert everywhere.get("nodeproxies", node.name)["status"]["observedRevision"] == ready["status"]["revision"]
        everywhere.patch({"conntrack": None, "masquerade": None})
        everywhere.ready()
    assert agents() == before


def test_a_backend_is_deleted_without_a_lost_request(served: Web, everywhere: Installed) -> None:
    leaving = everywhere.objects("pods", labels="app=web")[0]["metadata"]["name"]
    with served.under_traffic(seconds=18):
        everywhere.kubectl("delete", "pod", leaving)
    assert leaving not in [pod["metadata"]["name"] for pod in everywhere.objects("pods", labels="app=web")]


def test_all_backends_are_replaced_one_by_one_without_a_lost_request(served: Web, everywhere: Installed) -> None:
    before = {pod["metadata"]["name"] for pod in everywhere.objects("pods", labels="app=web")}
    with served.under_traffic(seconds=30):
        everywhere.kubectl("rollout", "restart", "deployment/web")
        everywhere.kubectl("rollout", "status", "deployment/web", "--timeout=120s", timeout_s=150)
    running = everywhere.objects("pods", labels="app=web", fields="status.phase=Running")
    assert not before & {pod["metadata"]["name"] for pod in running if "deletionTimestamp" not in pod["metadata"]}


def test_an_agent_is_replaced_by_one_with_another_image_and_no_request_is_lost(served: Web, everywhere: Installed) -> None:
    before = {pod["metadata"]["uid"] for pod in everywhere.agents()}
    with served.under_traffic(seconds=15):
        everywhere.patch({"agent": {"image": NO_SUCH_IMAGE}})
        told = everywhere.eventually(
            everywhere.config, lambda found: "registry.invalid/none:1" in condition(found, "Ready").get("message", "")
        )
        assert condition(told, "Ready")["status"] == "False"
        everywhere.patch({"agent": {"image": None}})
        everywhere.ready()
    assert {pod["metadata"]["uid"] for pod in everywhere.agents()} != before


def test_a_node_goes_from_one_proxyconfig_to_another_and_back_without_a_lost_request(served: Web, everywhere: Installed) -> None:
    node = served.local.nodes[1].name
    with served.under_traffic(seconds=20):
        everywhere.apply(proxy_config("second", priority=10, nodeSelector={"matchLabels": {"kubernetes.io/hostname": node}}))
        everywhere.ready("second")
        assert everywhere.get("nodeproxies", node)["spec"]["configName"] == "second"
        everywhere.eventually(everywhere.config, lambda found: condition(found, "Overlapping").get("status") == "True")
        assert len(everywhere.agents("second")) == 1
        everywhere.ready()
    everywhere.kubectl("delete", "kpx", "second", "--timeout=90s")
    everywhere.eventually(lambda: everywhere.get("nodeproxies", node), lambda found: found.get("spec", {}).get("configName") == CONFIG)
    everywhere.ready()
