"""Nodes go from the real kube-proxy to a ProxyConfig and back, step by step as docs/migrate.md says, under traffic."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
def test_nodes_go_from_kube_proxy_to_us_and_back_in_iptables_mode(kube_proxy: Fleet, tmp_path: Path, record_property: Record) -> None:
    told, file = list[Told](), tmp_path / "proxyconfig.yaml"
    with kube_proxy.traffic(told):
        imported = proxyconfig(kube_proxy, "import")
        assert imported.returncode == 0
        manifest = yaml.safe_load(imported.stdout)
        assert manifest["spec"]["mode"] == "iptables"
        file.write_text(yaml.safe_dump({**manifest, "spec": {**manifest["spec"], "rollout": CAREFUL}}))
        assert proxyconfig(kube_proxy, "preflight", "-f", str(file)).returncode == 0

        observed = {**manifest, "spec": {**manifest["spec"], "takeover": "Observe"}}
        kube_proxy.product.apply(observed)
        shadow = kube_proxy.product.eventually(kube_proxy.product.config, _all_compare, within_s=WITHIN_S)["status"]["shadow"]
        print(f"shadow: {shadow}")
        record_property("shadow", shadow["score"])
        assert shadow["score"] == "100%", shadow

        assert proxyconfig(kube_proxy, "takeover", "start", "-f", str(file)).returncode == 0
        kubeproxy.await_pods(kube_proxy.product, 0)
        kube_proxy.product.ready(within_s=WITHIN_S)
        assert f"{NODES} of {NODES} nodes" in proxyconfig(kube_proxy, "takeover", "status").stdout

        assert proxyconfig(kube_proxy, "takeover", "undo").returncode == 0
        kubeproxy.await_pods(kube_proxy.product, NODES)
        eventually(kube_proxy.proxies, until={}.__eq__, within_s=WITHIN_S, every_s=0.5)
    nothing_lost(told, record_property)
    assert kube_proxy.product.config(CONFIG) == {}
    for node in kube_proxy.local.nodes:
        assert kube_proxy.on(node.name, "nft", "list", "tables").count("proxyconfig") == 0


def _all_compare(config: dict[str, object]) -> bool:
    shadow = config.get("status", {}).get("shadow")  # type: ignore[attr-defined]
    return bool(shadow and shadow["nodes"] == NODES and shadow.get("score"))
