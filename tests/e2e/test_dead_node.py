"""A node dies: the status shows it, nothing waits for it for ever, and when it returns it is taken up again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster import cluster
from tests.cluster.node import Node
from tests.e2e.containers import kill
from tests.e2e.installed import CONFIG, Installed, condition
from tests.e2e.web import on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture
def dead(everywhere: Installed, local: cluster.Cluster) -> Iterator[Node]:
    """The second node without kubelet and agent; both are there again afterwards, at the latest."""
    node = local.nodes[1]
    (agent,) = (pod for pod in everywhere.agents() if pod["spec"]["nodeName"] == node.name)
    node.process("kubelet").stop()
    kill(local, agent)
    yield node
    if not node.process("kubelet").alive():
        node.join()


def test_a_dead_node_does_not_hold_up_the_deletion_and_is_cleaned_when_it_returns(
    everywhere: Installed, local: cluster.Cluster, dead: Node
) -> None:
    lost = everywhere.eventually(everywhere.config, lambda found: found["status"]["nodes"]["unreachable"] == 1, within_s=240)
    assert (lost["status"]["nodes"]["desired"], lost["status"]["nodes"]["ready"]) == (2, 1)
    ready = condition(lost, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NodesUnreachable")
    assert f"{dead.name}: NodeStatusUnknown: Kubelet stopped posting node status" in ready["message"]
    assert [worst["node"] for worst in lost["status"]["worstNodes"]] == [dead.name]

    everywhere.kubectl("delete", "kpx", CONFIG, "--timeout=240s", timeout_s=270)  # its agent may be silent for 120 s

    assert "proxyconfig" not in on_node(local, 0, "nft", "list", "tables")
    assert "proxyconfig" in on_node(local, 1, "nft", "list", "tables"), "a dead node's Services go on as they were"
    (unproven,) = eventually(lambda: everywhere.events("RemovalNotProven", lost), within_s=60, every_s=0.5)
    assert unproven["note"].startswith(f"cleanup of node {dead.name} not confirmed: neither the node nor its agent")
    (left,) = everywhere.objects("nodeproxies")
    assert (left["metadata"]["name"], left["spec"]["action"]) == (dead.name, "Remove")

    dead.join()

    eventually(lambda: everywhere.objects("nodeproxies"), within_s=300, every_s=0.5, until=lambda found: found == [])
    assert "proxyconfig" not in on_node(local, 1, "nft", "list", "tables")


def test_a_node_that_has_returned_is_taken_up_again(everywhere: Installed, local: cluster.Cluster) -> None:
    told = everywhere.ready(within_s=240)
    assert told["status"]["nodes"]["ready"] == len(local.nodes)
    assert told["status"].get("worstNodes", []) == []
