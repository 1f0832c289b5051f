"""Hot fields: in the kernel of every node within seconds, told by every NodeProxy, no pod restarted."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.cluster import cluster
from tests.e2e.containers import restarts
from tests.e2e.installed import Installed
from tests.e2e.web import Web, on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WITHIN_S = 30
WHO_ASKS = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode().split('client=')[1].strip())"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("tcpCloseWaitTimeout", "35m", "nf_conntrack_tcp_timeout_close_wait=2100"),
        ("tcpEstablishedTimeout", "30h", "nf_conntrack_tcp_timeout_established=108000"),
        ("tcpBeLiberal", True, "nf_conntrack_tcp_be_liberal=1"),
        ("udpTimeout", "44s", "nf_conntrack_udp_timeout=44"),
    ],
)
def test_conntrack_is_set_on_every_node(everywhere: Installed, local: cluster.Cluster, field: str, value: object, expected: str) -> None:
    sysctl, _, number = expected.partition("=")

    def is_set() -> bool:
        values = [on_node(local, node, "cat", f"/proc/sys/net/netfilter/{sysctl}").strip() for node in range(len(local.nodes))]
        return values == [number] * len(values)

    _changes_hot(everywhere, {"conntrack": {field: value}}, is_set)
    everywhere.patch({"conntrack": {field: None}})


def test_masquerading_of_everything_hides_pods_behind_their_node_and_stops_again(everywhere: Installed, served: Web) -> None:
    eventually(lambda: served.answered_by(3, served.from_pod()), within_s=180, every_s=0.5)
    pod = everywhere.get("pods", "client")
    url = f"http://{everywhere.get('services', 'web')['spec']['clusterIP']}/"

    def who() -> str:
        return everywhere.kubectl("exec", "client", "--", "python3", "-c", WHO_ASKS, url).strip()

    assert who() == pod["status"]["podIP"]
    _changes_hot(everywhere, {"masquerade": {"all": True}}, lambda: who() != pod["status"]["podIP"])
    _changes_hot(everywhere, {"masquerade": {"all": None}}, lambda: who() == pod["status"]["podIP"])


def _changes_hot(product: Installed, change: dict[str, dict[str, object]], holds: Callable[[], bool]) -> None:
    """Change the ProxyConfig, and wait until it holds; every node then says that it has the new revision, and no pod was restarted."""
    before, agents = product.ready()["status"]["revision"], _agents(product)
    product.patch(change)
    patched = time.monotonic()
    eventually(holds, within_s=WITHIN_S, every_s=0.2)
    told = product.ready(within_s=WITHIN_S + patched - time.monotonic())["status"]["revision"]
    assert told != before
    assert {proxy["status"]["observedRevision"] for proxy in product.objects("nodeproxies")} == {told}
    assert _agents(product) == agents


def _agents(product: Installed) -> dict[str, int]:
    return {pod["metadata"]["uid"]: restarts(pod) for pod in product.agents()}
