"""The cluster that end-to-end tests run on, with the product in it: a local one of two nodes, or that of KUBECONFIG."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import binaries, cluster, deploy
from tests.cluster.command import run
from tests.netns.namespace import Namespace
from tests.netns.peers import Prober, probing
from tests.netns.topology import Pair

from proxyconfig_api.names import CONFIG_LABEL, NAMESPACE

LOCAL_NAME = "e2e"
CONFIG = "default"
PATCHED_WITHIN_S = 120


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node and its own addresses."""

    name: str
    address: Pair


@dataclass(frozen=True)
class Site:
    """The cluster: how to talk to it, and where packets can come from. `local`: one of this machine, whose nodes are network namespaces."""

    target: deploy.Target
    local: cluster.Cluster | None

    def kubectl(self, *words: str, given: str | None = None, timeout_s: float = 180) -> str:
        """Run kubectl as administrator and return what it printed. Raises CommandError."""
        kubectl = binaries.ensure("kubernetes")["kubectl"]
        return run(kubectl, "--kubeconfig", self.target.kubeconfig, *words, given=given, timeout_s=timeout_s)

    def get(self, kind: str, name: str = "", namespace: str = "") -> dict[str, Any]:
        """Return an object, or a List of them."""
        options = (["-n", namespace] if namespace else []) + ([name] if name else [])
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, *options, "-o", "json"))
        return found

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, as a user would."""
        self.kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "-",
            given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    def nodes(self) -> list[NodeAddress]:
        """The Ready nodes, by name."""
        found = []
        for node in self.get("nodes")["items"]:
            internal = [entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"]
            v4 = next((text for text in internal if ":" not in text), "")
            v6 = next((text for text in internal if ":" in text), "")
            found.append(NodeAddress(node["metadata"]["name"], Pair(v4, v6)))
        return sorted(found, key=lambda node: node.name)

    def service_cidr(self) -> Pair:
        """The cluster's Service ranges."""
        cidrs = self.get("servicecidrs", "kubernetes")["spec"]["cidrs"]
        return Pair(next(c for c in cidrs if ":" not in c), next(c for c in cidrs if ":" in c))

    def proxy_config(self, name: str = CONFIG) -> dict[str, Any]:
        return self.get("proxyconfigs.proxyconfig.dev", name)

    def await_ready(self, config: str = CONFIG) -> None:
        """Wait until a ProxyConfig is Ready with its newest generation."""
        generation = self.proxy_config(config)["metadata"]["generation"]
        for condition in (f"jsonpath={{.status.observedGeneration}}={generation}", "condition=Ready"):
            self.kubectl("wait", f"--for={condition}", f"pxc/{config}", f"--timeout={PATCHED_WITHIN_S}s")

    def is_rolled_out(self) -> bool:
        """Whether every agent's pod has the image that was deployed, and runs: the cluster may be one that ran another before."""
        pods = [pod for pod in self.get("pods", namespace=NAMESPACE)["items"] if CONFIG_LABEL in pod["metadata"].get("labels", {})]
        states = [status for pod in pods for status in pod["status"].get("containerStatuses", ())]
        images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
        return images == {self.target.agent} and len(states) == len(pods) and all(state["ready"] for state in states)

    def inside(self, node: str) -> Namespace | None:
        """The network namespace of a node, on a local cluster."""
        if self.local is None:
            return None
        (found,) = (each for each in self.local.nodes if each.name == node)
        return Namespace(found.attachment.namespace, node)

    def tables(self, node: str) -> list[str]:
        """Our nftables tables on a node of a local cluster."""
        space = self.inside(node)
        listed = space.run("nft", "list", "tables").splitlines() if space else []
        return [line for line in listed if line.endswith(" proxyconfig")]

    @contextlib.contextmanager
    def prober_in(self, pod: str, namespace: str) -> Iterator[Prober]:
        """A client in a pod of `workload.py`."""
        kubectl = (str(binaries.ensure("kubernetes")["kubectl"]), "--kubeconfig", str(self.target.kubeconfig))
        words = (*kubectl, "-n", namespace, "exec", "-i", pod, "--", "python3", "-m", "tests.netns.probe")
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield Prober(process)
        finally:
            process.kill()
            process.communicate()

    @contextlib.contextmanager
    def prober_outside(self) -> Iterator[Prober]:
        """A client outside of the nodes: a namespace beside a local cluster's nodes, else this machine."""
        space = Namespace(self.local.outside.namespace, "outside") if self.local else None
        with probing(space) as prober:
            yield prober

    def outside_address(self) -> Pair:
        """The address of the outside client of a local cluster."""
        if self.local is None:
            raise AssertionError("only a local cluster knows its outside client's address")
        return Pair(self.local.outside.ipv4, str(ipaddress.ip_address(self.local.outside.ipv6)))


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """The cluster of KUBECONFIG, else a local one (started and ended here, unless it is up already), with `manifests/` applied."""
    if os.environ.get("KUBECONFIG"):
        where = deploy.target()
        deploy.apply(where)
        yield Site(where, cluster.of_kubeconfig(Path(where.kubeconfig)))
        return
    with cluster.provided(LOCAL_NAME, 2) as local:
        where = deploy.load(local)
        deploy.apply(where)
        yield Site(where, local)
