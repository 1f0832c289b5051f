"""Nodes go from the real kube-proxy to a ProxyConfig and back, step by step as docs/migrate.md says, under traffic."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster import cluster
from tests.e2e.installed import CONFIG
from tests.fleet import kubeproxy
from tests.fleet.fleet import NODES, WITHIN_S, Fleet
from tests.fleet.waves import CAREFUL, Record, nothing_lost
from tests.support.netns.flows import Told
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]


@pytest.fixture
def kube_proxy(nodes: Fleet, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """kube-proxy in the mode of the parameter on all nodes, and no ProxyConfig."""
    nodes.product.kubectl("delete", "kpx", "--all", "--timeout=240s", timeout_s=260)
    kubeproxy.install(nodes, request.param)
    yield nodes
    kubeproxy.uninstall(nodes)


def proxyconfig(fleet: Fleet, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line, and print what it says."""
    argv = (sys.executable, "-m", "proxyconfig_cli", *words, "--kubeconfig", str(fleet.product.kubeconfig))
    done = subprocess.run(argv, cwd=cluster.ROOT, input=given, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    print(f"$ kubectl proxyconfig {' '.join(words)}\n{done.stderr}{done.stdout}[{done.returncode}]")
    return done


@pytest.mark.parametrize("kube_proxy", ["iptables"], indirect=True)
def test_nodes_go_from_kube_proxy_in_iptables_mode_to_us_and_back(kube_proxy: Fleet, tmp_path: Path, record_property: Record) -> None:
    told = list[Told]()
    with kube_proxy.traffic(told):
        manifest = imported(kube_proxy, "iptables", tmp_path)
        kube_proxy.product.apply({**manifest, "spec": {**manifest["spec"], "takeover": "Observe"}})
        shadow = kube_proxy.product.eventually(kube_proxy.product.config, _all_compare, within_s=WITHIN_S)["status"]["shadow"]
        print(f"shadow: {shadow}")
        record_property("shadow", shadow["score"])
        assert shadow["score"] == "100%", shadow

        taken_over(kube_proxy, tmp_path)

        assert proxyconfig(kube_proxy, "takeover", "undo").returncode == 0
        given_back(kube_proxy)
    nothing_lost(told, record_property)


@pytest.mark.parametrize("kube_proxy", ["nftables"], indirect=True)
def test_nodes_go_from_kube_proxy_in_nftables_mode_to_us_and_back(kube_proxy: Fleet, tmp_path: Path, record_property: Record) -> None:
    told = list[Told]()
    with kube_proxy.traffic(told):
        imported(kube_proxy, "nftables", tmp_path)
        taken_over(kube_proxy, tmp_path)
        for node in kube_proxy.local.nodes:
            tables = eventually(partial(kube_proxy.on, node.name, "nft", "list", "tables"), until=_only_ours, within_s=WITHIN_S)
            print(f"{node.name}: {tables.split()}")

        assert proxyconfig(kube_proxy, "takeover", "undo").returncode == 0
        given_back(kube_proxy)
    nothing_lost(told, record_property)


def imported(fleet: Fleet, mode: str, folder: Path) -> dict[str, Any]:
    """What `import` makes of the cluster's kube-proxy, checked by `preflight` and kept in the folder."""
    done = proxyconfig(fleet, "import")
    assert done.returncode == 0
    manifest: dict[str, Any] = yaml.safe_load(done.stdout)
    assert manifest["spec"]["mode"] == mode
    manifest["spec"]["rollout"] = CAREFUL
    _file(folder).write_text(yaml.safe_dump(manifest))
    assert proxyconfig(fleet, "preflight", "-f", str(_file(folder))).returncode == 0
    return manifest


def taken_over(fleet: Fleet, folder: Path) -> None:
    """Take all nodes over, wave by wave, with what was imported into the folder."""
    assert proxyconfig(fleet, "takeover", "start", "-f", str(_file(folder))).returncode == 0
    kubeproxy.await_pods(fleet.product, 0)
    fleet.product.ready(within_s=WITHIN_S)
    assert f"{NODES} of {NODES} nodes" in proxyconfig(fleet, "takeover", "status").stdout


def _file(folder: Path) -> Path:
    return folder / "proxyconfig.yaml"


def given_back(fleet: Fleet) -> None:
    """Wait until kube-proxy serves all nodes again; nothing of ours is left."""
    kubeproxy.await_pods(fleet.product, NODES)
    eventually(fleet.proxies, until={}.__eq__, within_s=WITHIN_S, every_s=0.5)
    eventually(lambda: fleet.product.config(CONFIG), until={}.__eq__, within_s=WITHIN_S, every_s=0.5)
    for node in fleet.local.nodes:
        assert "proxyconfig" not in fleet.on(node.name, "nft", "list", "tables")


def _only_ours(tables: str) -> bool:
    return "proxyconfig" in tables and "kube-proxy" not in tables


def _all_compare(config: dict[str, Any]) -> bool:
    shadow = config.get("status", {}).get("shadow")
    return bool(shadow and shadow["nodes"] == NODES and shadow.get("score"))
