"""A cluster changes its mode while Services are in use: no request is lost, and nothing of the former mode is left."""

from __future__ import annotations

import pytest
from tests.cluster import cluster
from tests.e2e.conftest import proxy_config
from tests.e2e.installed import CONFIG, Installed
from tests.e2e.web import Web, on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SECONDS = 25


def test_from_nftables_to_iptables_and_back_under_traffic(everywhere: Installed, served: Web, local: cluster.Cluster) -> None:
    eventually(lambda: served.answered_by(3, served.from_pod()), within_s=180, every_s=0.5)

    with served.under_traffic(SECONDS):
        everywhere.apply(proxy_config(mode="iptables"))
        everywhere.ready()
    assert "iptables" in everywhere.kubectl("get", "kpx", CONFIG)
    assert {proxy["status"]["mode"]["effective"] for proxy in everywhere.objects("nodeproxies")} == {"iptables"}
    for node in range(len(local.nodes)):
        assert "proxyconfig" not in on_node(local, node, "nft", "list", "tables")
        assert "default/web" in on_node(local, node, "iptables-save", "-t", "nat")

    with served.under_traffic(SECONDS):
        everywhere.apply(proxy_config())
        everywhere.ready()
    for node in range(len(local.nodes)):
        assert "KUBE-SVC-" not in on_node(local, node, "iptables-save", "-t", "nat")
        assert "table ip proxyconfig" in on_node(local, node, "nft", "list", "tables")
    assert served.answered_by(3, served.outside(0))
