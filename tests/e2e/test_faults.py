"""Parts of the cluster fail: Services go on, and changes catch up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster import cluster, deploy
from tests.e2e.installed import Installed
from tests.e2e.web import Web, on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def _serves_before_and_after(everywhere: Installed, served: Web) -> Iterator[None]:
    assert everywhere is served.product
    _answered(served, 3)
    yield
    _scaled(served, 3)


def _scaled(served: Web, pods: int) -> None:
    served.product.kubectl("scale", "deployment/web", f"--replicas={pods}")
    _answered(served, pods)


def _answered(served: Web, pods: int) -> None:
    for command in (served.outside(0), served.outside(1), served.from_pod()):
        eventually(lambda command=command: served.answered_by(pods, command), within_s=180, every_s=0.5)  # type: ignore[misc]


def test_services_work_while_the_api_server_is_away_and_changes_catch_up(served: Web) -> None:
    served.local.plane.stop_server()
    try:
        assert served.answered_by(3, served.outside(0))
        assert served.answered_by(3, served.outside(1))
    finally:
        served.local.plane.start_server()
    _scaled(served, 4)


def test_agents_that_are_killed_lose_no_request_and_come_back(served: Web) -> None:
    with served.under_traffic(seconds=12):
        for pod in served.product.agents():
            served.product.kubectl("delete", "pod", "-n", deploy.NAMESPACE, pod["metadata"]["name"], "--force", "--grace-period=0")
        eventually(served.product.agents, within_s=60, every_s=0.3, until=lambda pods: len(pods) == 2)
    served.product.ready()
    _scaled(served, 2)


def test_an_operator_that_is_killed_in_a_rollout_has_it_finished_by_the_next(served: Web) -> None:
    served.product.patch({"conntrack": {"udpTimeout": "66s"}})
    chosen = ("-n", deploy.NAMESPACE, "-l", "app.kubernetes.io/name=proxyconfig-operator")
    served.product.kubectl("delete", "pods", *chosen, "--force", "--grace-period=0")
    served.product.ready(within_s=120)
    for node in range(len(served.local.nodes)):
        assert on_node(served.local, node, "cat", "/proc/sys/net/netfilter/nf_conntrack_udp_timeout").strip() == "66"
    served.product.patch({"conntrack": {"udpTimeout": None}})


def test_a_table_that_was_deleted_by_hand_is_repaired_counted_and_told(served: Web) -> None:
    name = served.local.nodes[0].name
    before = served.product.get("nodeproxies", name)["status"].get("drift", {}).get("repairs", 0)
    on_node(served.local, 0, "nft", "delete", "table", "ip", "proxyconfig")
    eventually(lambda: served.answered_by(3, served.outside(0)), within_s=180, every_s=0.3)
    served.product.eventually(lambda: served.product.get("nodeproxies", name), lambda found: found["status"]["drift"]["repairs"] > before)
    about = f"regarding.name={name}"
    eventually(
        lambda: served.product.objects("events", "", fields=about),
        until=lambda found: "repair" in str(found).lower(),
        within_s=60,
        every_s=0.3,
    )


def test_a_node_that_is_deleted_is_forgotten_and_taken_up_again_when_it_returns(served: Web, local: cluster.Cluster) -> None:
    node = local.nodes[1]
    node.process("kubelet").stop()
    served.product.kubectl("delete", "node", node.name)
    gone = served.product.eventually(served.product.config, lambda found: found["status"]["nodes"]["desired"] == 1)
    assert gone["status"]["nodes"]["ready"] == 1
    eventually(lambda: served.product.get("nodeproxies", node.name), until=lambda found: not found, within_s=60, every_s=0.3)
    local.plane.apply(node.manifest())
    node.join()
    served.product.eventually(served.product.config, lambda found: found["status"]["nodes"]["ready"] == 2, within_s=240)
