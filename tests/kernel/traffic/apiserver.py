"""Subjects that are processes of their own and learn of Services from a real API server: the real kube-proxy, and the agent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.subject import Running
from tests.netns.namespace import run
from tests.netns.peers import ROOT, Prober
from tests.netns.topology import NODE, NODE2, NODE2_NAME, NODE_NAME, POD2_CIDR, POD_CIDR, PODS, Pair, Topology
from tests.polling import eventually
from tests.scenarios.configs import Config
from tests.scenarios.objects import Key
from tests.scenarios.scenario import Object

SENTINEL = Pair("10.96.255.10", "fd00:10:96::ff0a")
SYNC_WITHIN_S = 30
ZONES = {NODE_NAME: "zone-a", NODE2_NAME: "zone-b"}
HOST = 240
"""The node's place on the control plane's network."""


class Cluster:
    """The API objects of the node under test, and whether a proxy has caught up with them."""

    def __init__(self, api: ControlPlane, topology: Topology, pod: Prober) -> None:
        self._api = api
        self._pod = pod
        self._present: dict[Key, Object] = {}
        self._namespaces = {"default"}
        self._generation = 0
        _plug(api, topology)
        self._write([_node(NODE_NAME, POD_CIDR), _node(NODE2_NAME, POD2_CIDR)])
        self._address(NODE_NAME, NODE)
        self._address(NODE2_NAME, NODE2)

    def apply(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices, and wait until the proxy serves them."""
        self.put(objects)
        eventually(self.caught_up, within_s=SYNC_WITHIN_S)

    def put(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices; do not wait."""
        gone = sorted(set(self._present) - set(objects))
        for kind, namespace, name in gone:
            self._api.kubectl("delete", kind, name, "-n", namespace, "--wait=false")
        namespaces = {namespace for _, namespace, _ in objects} - self._namespaces
        self._write({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(namespaces))
        self._namespaces |= namespaces
        self._write(one for key, one in objects.items() if self._present.get(key) != one)
        self._present = dict(objects)
        # Watches keep the order of one kind: who serves the sentinel has seen everything that was written before it.
        self._generation += 1
        self._write(_sentinel(self._generation))

    def caught_up(self) -> bool:
        """Whether the proxy serves the newest sentinel in both families."""
        flows = [{"address": address, "port": 1000 + self._generation, "patience_s": 0.5} for address in SENTINEL.both]
        wanted = f" {8080 if self._generation % 2 else 9090}"
        return all(next(iter(answers)).endswith(wanted) for answers in self._pod.ask(flows))

    def _address(self, node: str, address: Pair) -> None:
        # A merge patch: server-side apply refuses two addresses of one type.
        status = {"status": {"addresses": [{"type": "InternalIP", "address": text} for text in address.both]}}
        self._api.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", json.dumps(status))

    def _write(self, objects: Iterable[Object]) -> None:
        listed = list(objects)
        for part, options in ((listed, ()), ([one for one in listed if "status" in one], ("--subresource=status",))):
            if part:
                given = json.dumps({"apiVersion": "v1", "kind": "List", "items": part})
                self._api.kubectl("apply", "--server-side", "--force-conflicts", *options, "-f", "-", given=given)


class KubeProxy:
    """The real kube-proxy in nftables mode: what we expect of ourselves is checked against it."""

    name = "kube-proxy"

    def __init__(self, api: ControlPlane, topology: Topology, cluster: Cluster, folder: Path) -> None:
        self._api, self._topology, self._cluster, self._folder = api, topology, cluster, folder

    @contextlib.contextmanager
    def running(self, config: Config) -> Iterator[Running]:
        path = self._folder / "kube-proxy.yaml"
        path.write_text(yaml.safe_dump(_kube_proxy_configuration(config, self._api.kubeconfig)))
        argv = (str(self._api.program("kube-proxy")), f"--config={path}", f"--hostname-override={NODE_NAME}")
        with _process(self._topology, argv, self._folder / f"kube-proxy-{config.name}.log"):
            yield self._cluster
        self._topology.node.run("nft", "flush", "ruleset")


def _kube_proxy_configuration(config: Config, kubeconfig: Path) -> Object:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "nodePortAddresses": list(config.node_port_addresses) or ["0.0.0.0/0", "::/0"],
        "detectLocalMode": config.detect or "ClusterCIDR",
        "clusterCIDR": "10.244.0.0/16,fd00:244::/32" if config.detect == "ClusterCIDR" else "",
        "detectLocal": {"bridgeInterface": "veth-client", "interfaceNamePrefix": "veth-"},
        "nftables": {"masqueradeAll": config.masquerade_all, "minSyncPeriod": "0.1s"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


@contextlib.contextmanager
def _process(topology: Topology, argv: Sequence[str], log: Path) -> Iterator[None]:
    """A process on the node; when the test fails its log is in the report's temporary folder."""
    with log.open("w") as output:
        process = topology.node.spawn(*argv, cwd=ROOT, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def _plug(api: ControlPlane, topology: Topology) -> None:
    """Join the node to the control plane's network."""
    switch = api.switch
    node = topology.node
    run("ip", "-n", switch.namespace, "link", "add", f"p{HOST}", "type", "veth", "peer", "name", "control", "netns", node.name)
    run("ip", "-n", switch.namespace, "link", "set", f"p{HOST}", "master", "bridge", "up")
    node.ip([f"addr add 198.18.{switch.number}.{HOST}/24 dev control", "link set control up"])


def _node(name: str, pods: Pair) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": ZONES[name], "kubernetes.io/hostname": name}},
        "spec": {"podCIDR": pods.v4, "podCIDRs": list(pods.both)},
    }


def _sentinel(generation: int) -> list[Object]:
    labels = {"kubernetes.io/service-name": "sentinel"}
    spec: dict[str, Any] = {
        "clusterIP": SENTINEL.v4,
        "clusterIPs": list(SENTINEL.both),
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [{"name": "web", "port": 1000 + generation, "targetPort": 8080}],
    }
    slices: list[Object] = [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"sentinel-{family}", "namespace": "default", "labels": labels},
            "addressType": f"IPv{family}",
            "ports": [{"name": "web", "port": 8080 if generation % 2 else 9090}],
            "endpoints": [{"addresses": [PODS["near1"][family]], "nodeName": NODE_NAME}],
        }
        for family in (4, 6)
    ]
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sentinel", "namespace": "default"}, "spec": spec}, *slices]
