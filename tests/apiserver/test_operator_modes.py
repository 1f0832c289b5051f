"""Which modes run on the nodes of a ProxyConfig, counted by the operator; and what pods of `auto` may do."""

from __future__ import annotations

import itertools
import re

import pytest
from tests.apiserver.expect import is_ready, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, DAEMONSETS, PROXIES, Api, config
from tests.cluster.controlplane import ControlPlane

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


def columns(plane: ControlPlane, resource: str) -> dict[str, dict[str, str]]:
    """What `kubectl get` prints: by the name of the object, and the title of the column."""
    header, *lines = plane.kubectl("get", resource).splitlines()
    titles = re.findall(r"\S+(?:\s+|$)", header)
    begins = [header.index(title) for title in titles]
    rows = [[line[begin:end].strip() for begin, end in itertools.pairwise((*begins, None))] for line in lines]
    return {row[0]: dict(zip(map(str.strip, titles), row, strict=True)) for row in rows}


def test_kubectl_get_prints_the_modes_of_a_proxyconfig_and_that_of_each_node(api: Api, fleet: Fleet, plane: ControlPlane) -> None:
    ran = {"n1": "nftables", "n2": "nftables", "n3": "iptables"}
    fleet.join(*ran)
    api.apply(f"{CONFIGS}/x", config("x", mode="auto"))
    is_ready(api, "x", 3)
    for node, mode in ran.items():
        runs(api, node, mode)
    soon(lambda: counted(api)[0], until={"iptables": 1, "nftables": 2}.__eq__)

    of_config = columns(plane, "kpx")["x"]
    assert (of_config["MODE"], of_config["MODES"]) == ("auto", "nftables: 2, iptables: 1")
    assert {node: row["MODE"] for node, row in columns(plane, "npx").items()} == ran


def test_pods_of_auto_may_do_what_any_of_its_modes_needs(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x", mode="auto"))
    is_ready(api, "x", 1)
    pod = api.have(f"{DAEMONSETS}/proxyconfig-x")["spec"]["template"]["spec"]
    assert set(pod["containers"][0]["securityContext"]["capabilities"]["add"]) >= {"NET_ADMIN", "NET_RAW"}
    assert "/run/xtables.lock" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    assert "--mode=auto" in pod["initContainers"][0]["args"]
