"""Where packets of end-to-end tests come from and go to: the nodes, clients in pods, and one outside."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.cluster import cluster
from tests.cluster.kubectl import on_path
from tests.e2e.installed import Installed
from tests.support.netns.namespace import Namespace
from tests.support.netns.peers import Prober, probing
from tests.support.netns.topology import NEUTRAL, PUBLIC_CIDR, Pair

LIMITS = {name: value for name, value in NEUTRAL.items() if "ratemask" in name}


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node and its own addresses."""

    name: str
    address: Pair


def nodes_of(product: Installed) -> list[NodeAddress]:
    """The nodes, by name."""
    found = []
    for node in product.objects("nodes"):
        internal = [entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"]
        found.append(NodeAddress(node["metadata"]["name"], pair_of(internal)))
    return sorted(found, key=lambda node: node.name)


def service_cidr(product: Installed) -> Pair:
    """The cluster's Service ranges."""
    return pair_of(product.get("servicecidrs", "kubernetes")["spec"]["cidrs"])


def pair_of(texts: list[str]) -> Pair:
    """The first of each family; empty where there is none."""
    return Pair(next((text for text in texts if ":" not in text), ""), next((text for text in texts if ":" in text), ""))


def space_of(local: cluster.Cluster, node: str) -> Namespace:
    """The network namespace of a local cluster's node."""
    (found,) = (each for each in local.nodes if each.name == node)
    return Namespace(found.attachment.namespace, node)


def outside_of(local: cluster.Cluster) -> Namespace:
    """The network namespace beside a local cluster's nodes."""
    return Namespace(local.outside.namespace, "outside")


def lead_outside_to(local: cluster.Cluster, product: Installed, node: NodeAddress) -> None:
    """Let the outside client send to the addresses of Services and load balancers by way of this node; refusals are not limited there."""
    outside = outside_of(local)
    for family in (4, 6):
        for cidr in (service_cidr(product), PUBLIC_CIDR):
            outside.run("ip", f"-{family}", "route", "replace", cidr[family], "via", node.address[family])
    for each in (space_of(local, node.name), outside):
        each.sysctl(LIMITS)


@contextlib.contextmanager
def prober_in(product: Installed, pod: str, namespace: str) -> Iterator[Prober]:
    """A client in a pod of `workload.py`."""
    program = (str(on_path(product.kubeconfig).program), "--kubeconfig", str(product.kubeconfig))
    words = (*program, "-n", namespace, "exec", "-i", pod, "--", "python3", "-m", "tests.support.netns.probe")
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Prober(process.stdin, process.stdout)
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def prober_outside(local: cluster.Cluster | None) -> Iterator[Prober]:
    """A client outside of the nodes: in the namespace beside a local cluster's, else on this machine."""
    with probing(outside_of(local) if local else None) as prober:
        yield prober
