"""A cluster changes its mode under traffic, also to one that its nodes choose: no request is lost, and nothing is left of the old mode."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cluster import cluster
from tests.e2e.conftest import proxy_config
from tests.e2e.installed import CONFIG, Installed
from tests.e2e.reader import Object
from tests.e2e.web import Web, on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SECONDS = 25


def test_from_nftables_to_iptables_and_by_auto_back_under_traffic(everywhere: Installed, served: Web, local: cluster.Cluster) -> None:
    eventually(lambda: served.answered_by(3, served.from_pod()), within_s=180, every_s=0.5)

    with served.under_traffic(SECONDS):
        everywhere.apply(proxy_config(mode="iptables"))
        everywhere.ready()
    assert "iptables" in everywhere.kubectl("get", "kpx", CONFIG)
    assert chosen(everywhere) == {("iptables", "iptables", "AsConfigured")}
    for node in range(len(local.nodes)):
        assert "proxyconfig" not in on_node(local, node, "nft", "list", "tables")
        assert "default/web" in on_node(local, node, "iptables-save", "-t", "nat")

    with served.under_traffic(SECONDS):
        everywhere.apply(proxy_config(mode="auto"))
        everywhere.ready()
    for node in range(len(local.nodes)):
        assert "KUBE-SVC-" not in on_node(local, node, "iptables-save", "-t", "nat")
        assert "table ip proxyconfig" in on_node(local, node, "nft", "list", "tables")
    assert served.answered_by(3, served.outside(0))
    everywhere.eventually(everywhere.config, shows_modes(everywhere, "nftables"))
    assert chosen(everywhere) == {("auto", "nftables", "FirstChoice")}
    for proxy in everywhere.objects("nodeproxies"):
        assert proxy["status"]["mode"]["message"].startswith("auto: nftables is the first choice, and kernel ")
    assert columns(everywhere) == ("auto", f"nftables: {len(local.nodes)}")

    everywhere.apply(proxy_config(mode="nftables"))
    everywhere.ready()
    assert chosen(everywhere) == {("nftables", "nftables", "AsConfigured")}
    assert columns(everywhere) == ("nftables", f"nftables: {len(local.nodes)}")


def chosen(everywhere: Installed) -> set[tuple[str, str, str]]:
    """Desired and effective mode of each node, and the reason."""
    found = [proxy["status"]["mode"] for proxy in everywhere.objects("nodeproxies")]
    return {(mode["desired"], mode["effective"], mode["reason"]) for mode in found}


def shows_modes(everywhere: Installed, mode: str) -> Callable[[Object], bool]:
    """Whether a ProxyConfig counts this mode alone, on all nodes."""
    nodes = len(everywhere.objects("nodes"))
    return lambda config: (config["status"].get("modes"), config["status"].get("modeSummary")) == ({mode: nodes}, f"{mode}: {nodes}")


def columns(everywhere: Installed) -> tuple[str, str]:
    """MODE and MODES of `kubectl get kpx`."""
    head, row = everywhere.kubectl("get", "kpx", CONFIG).splitlines()
    begin, end = head.index("MODES"), head.index("AGE")
    return row.split()[1], row[begin:end].strip()
