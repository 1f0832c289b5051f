"""Which modes run on the nodes of a ProxyConfig, counted by the operator; and what pods of `auto` may do."""

from __future__ import annotations

import pytest
from tests.apiserver.expect import is_ready, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, DAEMONSETS, PROXIES, Api, config

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]


def runs(api: Api, node: str, mode: str) -> None:
    """The node's agent says that it runs this mode."""
    api.patch(f"{PROXIES}/{node}/status", {"status": {"mode": {"desired": "auto", "effective": mode}}})


def counted(api: Api) -> tuple[dict[str, int] | None, str]:
    status = api.have(f"{CONFIGS}/x")["status"]
    return status.get("modes"), status.get("modeSummary", "")


def test_nodes_are_counted_by_the_mode_that_runs_there(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2", "n3")
    api.apply(f"{CONFIGS}/x", config("x", mode="auto"))
    is_ready(api, "x", 3)

    for node, mode in (("n1", "nftables"), ("n2", "nftables"), ("n3", "iptables")):
        runs(api, node, mode)
    soon(lambda: counted(api), until=({"iptables": 1, "nftables": 2}, "nftables: 2, iptables: 1").__eq__)
    runs(api, "n3", "nftables")
    soon(lambda: counted(api), until=({"nftables": 3}, "nftables: 3").__eq__)


def test_pods_of_auto_may_do_what_any_of_its_modes_needs(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x", mode="auto"))
    is_ready(api, "x", 1)
    pod = api.have(f"{DAEMONSETS}/proxyconfig-x")["spec"]["template"]["spec"]
    assert set(pod["containers"][0]["securityContext"]["capabilities"]["add"]) >= {"NET_ADMIN", "NET_RAW"}
    assert "/run/xtables.lock" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    assert "--mode=auto" in pod["initContainers"][0]["args"]
