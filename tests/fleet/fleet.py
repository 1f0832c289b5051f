"""Six nodes in three zones with the product on them, under traffic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.cluster import cluster
from tests.cluster.command import run
from tests.cluster.errors import CommandError
from tests.e2e.installed import CONFIG, Installed, condition
from tests.e2e.reader import Object
from tests.fleet import peers
from tests.support.netns.flows import Client, Flow, Told, asking
from tests.support.netns.namespace import Namespace
from tests.support.polling import eventually

NODES, ZONES = 6, 3
ZONE_LABEL = "topology.kubernetes.io/zone"
PACE_S = 0.1
ENTRIES = (0, 2, 5)
"""The nodes by whose NodePort the client outside of the cluster asks."""
WITHIN_S = 600
_ASK_MODE = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:10249/proxyMode', timeout=30).read().decode(), end='')"


@dataclass(frozen=True, slots=True)
class Fleet:
    """`service` is the one of peers.py."""

    product: Installed
    local: cluster.Cluster
    service: Mapping[str, Any]

    @contextlib.contextmanager
    def traffic(self, told: list[Told]) -> Iterator[None]:
        """Of pods to the cluster IPs, of a host outside to the NodePorts of some nodes, in both families."""
        with asking([*self._pods(), *self._outside()], told):
            yield

    def at_rest(self, mode: str) -> None:
        """All nodes in this mode, and Ready; without waves, as nothing is tried by it."""
        self.order(mode, {"holdPeriod": "0s", "maxUnavailable": "100%", "canary": {"nodes": "100%"}})
        self.product.ready(within_s=WITHIN_S)
        # A probe that fails before a change gates nothing.
        dns = ("-n", "kube-system", "wait", "--for=condition=Available", "deployment/coredns", "--timeout=240s")
        self.product.kubectl(*dns, timeout_s=260)

    def order(self, mode: str, rollout: Mapping[str, object]) -> int:
        """Apply the ProxyConfig; return its generation."""
        spec = {"mode": mode, "localTraffic": {"detectLocalMode": "NodeCIDR"}, "rollout": rollout}
        manifest = {"apiVersion": "proxyconfig.dev/v1alpha1", "kind": "ProxyConfig", "metadata": {"name": CONFIG}, "spec": spec}
        self.product.apply(manifest)
        return int(self.product.config()["metadata"]["generation"])

    def await_phase(self, phase: str, generation: int, watch: Callable[[], object] = lambda: None) -> Object:
        """Until the rollout of the generation is in this phase; `watch` is called at each look."""

        def reached() -> Object:
            watch()
            found = self.product.config()
            seen = found.get("status", {})
            assert seen.get("observedGeneration", 0) >= generation, found
            assert seen["rollout"]["phase"] == phase, seen["rollout"]
            return found

        return eventually(reached, within_s=WITHIN_S, every_s=0.3)

    def proxies(self) -> dict[str, Object]:
        """The NodeProxies by node."""
        return {each["metadata"]["name"]: each for each in self.product.objects("nodeproxies")}

    def await_held(self, node: str) -> None:
        """Until a node holds a change, with the agent's pod that the change needs: it is replaced meanwhile, and goes on."""

        def held() -> bool:
            self.await_change(node, "Holding")
            rollout = self.product.config()["status"]["rollout"]
            (pod,) = [each for each in self.product.agents() if each["spec"]["nodeName"] == node]
            assert pod["metadata"]["labels"]["proxyconfig.dev/pod-revision"] == rollout["podRevision"], pod["metadata"]
            assert all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": False}])), pod["status"]
            return True

        eventually(held, within_s=WITHIN_S, every_s=0.3)

    def await_change(self, node: str, *phases: str) -> Object:
        """Until a node's change is in one of these phases."""

        def reached() -> Object:
            found = self.product.get("nodeproxies", node)
            assert found["status"].get("change", {}).get("phase") in phases, found["status"]
            return found

        return eventually(reached, within_s=WITHIN_S, every_s=0.1)

    def on(self, node: str, *words: str) -> str:
        """Run a command on a node, and return what it printed. Raises CommandError."""
        (found,) = (each for each in self.local.nodes if each.name == node)
        return run(*found.enter(), *words)

    def mode_of(self, node: str) -> str:
        """The mode in which a node's agent serves, as its port for metrics says: the API server need not be there. Empty: no answer."""
        try:
            return self.on(node, "python3", "-c", _ASK_MODE)
        except CommandError:
            return ""

    def _pods(self) -> Iterator[Client]:
        for node, address in zip(peers.CLIENTS, self.service["spec"]["clusterIPs"], strict=True):
            process = peers.process_of_client(self.product, self.local, node)
            yield Client(Namespace(f"/proc/{process}/ns/net", f"a pod of {node}"), flows(address, peers.WORD, peers.TALK), PACE_S)

    def _outside(self) -> Iterator[Client]:
        for number in ENTRIES:
            node = self.local.nodes[number]
            outside = Namespace(self.local.outside.namespace, f"outside by {node.name}")
            for address in (node.attachment.ipv4, node.attachment.ipv6):
                yield Client(outside, flows(address, peers.WORD_NODE_PORT, peers.TALK_NODE_PORT), PACE_S)


def flows(address: str, word: int, talk: int) -> Sequence[Flow]:
    """One flow of each kind."""
    return (Flow("connection", address, talk), Flow("connections", address, word), Flow("datagrams", address, word))


def is_ready(proxy: Mapping[str, Any]) -> bool:
    """Whether a NodeProxy reports it."""
    return condition(proxy, "Ready").get("status") == "True"
