"""A ProxyConfig on a cluster: what a user sees of it, and what changes of it do."""

from __future__ import annotations

import pytest
from tests.cluster import cluster
from tests.cluster.errors import CommandError
from tests.e2e.installed import CONFIG, Installed
from tests.e2e.web import on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_get_answers_whether_it_is_rolled_out_and_works(everywhere: Installed) -> None:
    nodes = len(everywhere.objects("nodes"))
    shown = everywhere.kubectl("get", "kpx", CONFIG).splitlines()
    assert shown[0].split() == ["NAME", "MODE", "DESIRED", "UPDATED", "READY", "FAILING", "STATUS", "ROLLOUT", "MODES", "AGE"]
    counts = [str(nodes), str(nodes), f"{nodes}/{nodes}", "0"]
    assert shown[1].split()[:-1] == [CONFIG, "nftables", *counts, "AllNodesReady", "Complete", "nftables:", str(nodes)]
    assert len(everywhere.kubectl("get", "npx", "--no-headers").splitlines()) == nodes


def test_wait_explain_and_describe_work(everywhere: Installed) -> None:
    assert "condition met" in everywhere.kubectl("wait", "--for=condition=Ready", f"kpx/{CONFIG}", "--timeout=60s")
    explained = everywhere.kubectl("explain", "proxyconfigs.proxyconfig.dev.spec.conntrack.maxPerCore")
    assert "Default: 32768" in " ".join(explained.split())
    assert "AllNodesReady" in everywhere.kubectl("describe", "kpx", CONFIG)


def test_a_contradiction_is_refused_with_the_fix(everywhere: Installed) -> None:
    with pytest.raises(CommandError, match="remove it, or set mode to ipvs"):
        everywhere.patch({"ipvs": {"scheduler": "rr"}})


def test_a_hot_change_reaches_the_kernel_without_restarting_a_pod(everywhere: Installed, local: cluster.Cluster) -> None:
    before = [pod["metadata"]["uid"] for pod in everywhere.agents()]
    everywhere.patch({"conntrack": {"udpTimeout": "77s"}})
    everywhere.ready()
    for node in range(len(local.nodes)):
        assert on_node(local, node, "cat", "/proc/sys/net/netfilter/nf_conntrack_udp_timeout").strip() == "77"
    assert [pod["metadata"]["uid"] for pod in everywhere.agents()] == before
    everywhere.patch({"conntrack": {"udpTimeout": None}})


def test_an_image_that_does_not_exist_is_told_within_a_minute_and_two_configs_share_no_node(everywhere: Installed) -> None:
    name, node = "no-image", everywhere.objects("nodes")[-1]["metadata"]["name"]
    everywhere.apply(
        {
            "apiVersion": "proxyconfig.dev/v1alpha1",
            "kind": "ProxyConfig",
            "metadata": {"name": name},
            "spec": {
                "priority": 10,
                "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": node}},
                "agent": {"image": "registry.invalid/none:1"},
            },
        }
    )
    try:
        told = everywhere.eventually(
            lambda: everywhere.config(name), lambda found: "pull" in str(found.get("status", {})).lower(), within_s=60
        )
        assert "registry.invalid/none:1" in str(told["status"]), told["status"]
        lost = everywhere.eventually(everywhere.config, lambda found: found["status"]["nodes"].get("overlapping") == 1)
        assert lost["status"]["nodes"]["desired"] == len(everywhere.objects("nodes")) - 1
    finally:
        everywhere.kubectl("delete", "kpx", name, "--timeout=90s", timeout_s=100)
    everywhere.eventually(everywhere.config, lambda found: found["status"]["nodes"]["desired"] == len(everywhere.objects("nodes")))


def test_deleting_it_removes_its_state_from_the_kernel_first(everywhere: Installed, local: cluster.Cluster) -> None:
    spec = everywhere.config()["spec"]
    everywhere.kubectl("delete", "kpx", CONFIG, "--timeout=90s", timeout_s=100)
    for node in range(len(local.nodes)):
        assert "proxyconfig" not in on_node(local, node, "nft", "list", "tables")
    eventually(lambda: everywhere.objects("nodeproxies"), within_s=60, every_s=0.3, until=lambda found: found == [])
    everywhere.apply({"apiVersion": "proxyconfig.dev/v1alpha1", "kind": "ProxyConfig", "metadata": {"name": CONFIG}, "spec": spec})
