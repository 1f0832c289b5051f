"""A change of mode is probed from a pod on each node: what pods get decides, and no such pod is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.cluster import cluster, deploy
from tests.e2e.conftest import proxy_config
from tests.e2e.installed import Installed
from tests.e2e.reader import Object
from tests.e2e.web import on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PROBED = {"canary": {"nodes": "100%"}, "maxUnavailable": "100%", "probes": {"pod": True, "timeoutSeconds": 5}}


def changes(product: Installed) -> dict[str, Object]:
    """The last change of each node, by its name."""
    return {each["metadata"]["name"]: each["status"].get("change", {}) for each in product.objects("nodeproxies")}


def results(change: Object) -> dict[str, str]:
    return {probe["name"]: probe["result"] for probe in change.get("probes", ())}


def probe_pods(product: Installed) -> list[Object]:
    return product.objects("pods", deploy.NAMESPACE, labels="app.kubernetes.io/name=proxyconfig-probe")


def test_a_change_of_mode_is_probed_by_a_pod_on_each_node(everywhere: Installed) -> None:
    nodes = [each["metadata"]["name"] for each in everywhere.objects("nodes")]

    everywhere.apply(proxy_config(mode="iptables", rollout={"holdPeriod": "2s", **PROBED}))
    everywhere.ready(within_s=240)

    found = changes(everywhere)
    assert {name: change["phase"] for name, change in found.items()} == dict.fromkeys(nodes, "Committed")
    asked = {"pod", "self@Pod", "apiServer@Pod", "dns/UDP@Pod", "dns/TCP@Pod"}
    for change in found.values():
        assert {name: result for name, result in results(change).items() if name in asked} == dict.fromkeys(asked, "Passed"), change
    eventually(lambda: probe_pods(everywhere), within_s=120, every_s=0.3, until=lambda pods: pods == [])


def test_what_only_pods_lose_after_a_change_brings_the_node_back(everywhere: Installed, local: cluster.Cluster) -> None:
    rollout = {"holdPeriod": "60s", **PROBED, "canary": {"nodes": 1}, "maxUnavailable": 1}
    everywhere.apply(proxy_config(mode="iptables", rollout=rollout))
    try:
        node, address = eventually(lambda: held(everywhere), within_s=240, every_s=0.3, until=bool)[0]
        index = next(number for number, each in enumerate(local.nodes) if each.name == node)
        with cut(local, index, address, everywhere.get("services", "kubernetes")["spec"]["clusterIP"]):
            change = eventually(
                lambda: changes(everywhere)[node], within_s=120, every_s=0.3, until=lambda found: found.get("phase") == "RolledBack"
            )
    finally:
        everywhere.apply(proxy_config())
        everywhere.ready(within_s=240)

    assert "apiServer@Pod" in change["message"]
    assert results(change)["apiServer"] == "Passed", "the node itself has lost nothing"
    eventually(lambda: probe_pods(everywhere), within_s=120, every_s=0.3, until=lambda pods: pods == [])


def held(product: Installed) -> list[tuple[str, str]]:
    """The nodes whose change is held, and the addresses of their probe pods, which have passed."""
    return [
        (each["metadata"]["name"], each["spec"]["change"]["pod"]["addresses"][0])
        for each in product.objects("nodeproxies")
        if (change := each["status"].get("change", {})).get("phase") == "Holding" and results(change).get("apiServer@Pod") == "Passed"
    ]


@contextmanager
def cut(local: cluster.Cluster, node: int, source: str, destination: str) -> Iterator[None]:
    """Packets of a pod for a Service are lost on a node, and those of nobody else."""
    rule = ("PREROUTING", "-s", source, "-d", destination, "-j", "DROP")
    on_node(local, node, "iptables", "-t", "raw", "-I", *rule)
    try:
        yield
    finally:
        on_node(local, node, "iptables", "-t", "raw", "-D", *rule)
