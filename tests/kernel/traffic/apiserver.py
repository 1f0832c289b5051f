"""Subjects that are processes of their own and learn of Services from a real API server: the real kube-proxy, and the agent."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.clusterobjects import SENTINEL, node_object, sentinel, sentinel_port
from tests.kernel.traffic.manifest import EVERYWHERE, proxy_config
from tests.kernel.traffic.subject import Running
from tests.netns.namespace import run
from tests.netns.peers import ROOT, Prober
from tests.netns.topology import NODE, NODE2, NODE2_NAME, NODE_NAME, POD2_CIDR, POD_CIDR, Topology
from tests.polling import eventually
from tests.scenarios.configs import CLUSTER_CIDR, POD_INTERFACE, POD_INTERFACES, Config
from tests.scenarios.objects import Key
from tests.scenarios.scenario import Object

SYNC_WITHIN_S = 30
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
        self._create_node(node_object(NODE_NAME, POD_CIDR, NODE))
        self._create_node(node_object(NODE2_NAME, POD2_CIDR, NODE2))

    def apply(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices, and wait until the proxy serves them."""
        self.put(objects)
        eventually(self.caught_up, within_s=SYNC_WITHIN_S)

    def put(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices; do not wait."""
        gone = sorted(set(self._present) - set(objects))
        for (kind, namespace), keys in itertools.groupby(gone, key=lambda key: key[:2]):
            self._api.kubectl("delete", kind, "-n", namespace, "--wait=false", *(name for _, _, name in keys))
        namespaces = {namespace for _, namespace, _ in objects} - self._namespaces
        self._write({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(namespaces))
        self._namespaces |= namespaces
        self._write(one for key, one in objects.items() if self._present.get(key) != one)
        self._present = dict(objects)
        self._generation += 1
        self._write(sentinel(self._generation))

    def everything(self) -> dict[Key, Object]:
        """All Services and EndpointSlices that the API has now, those that it made itself, too."""
        listed = json.loads(self._api.kubectl("get", "services,endpointslices", "-A", "-o", "json"))["items"]
        return {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one for one in listed}

    def caught_up(self) -> bool:
        """Whether the proxy serves the newest sentinel in both families."""
        port, endpoint_port = sentinel_port(self._generation)
        answers = self._pod.ask([{"address": address, "port": port, "patience_s": 0.5} for address in SENTINEL.both])
        return all(next(iter(answer)).endswith(f" {endpoint_port}") for answer in answers)

    def _create_node(self, node: Object) -> None:
        status = node.pop("status")
        self._write([node])
        # A merge patch: server-side apply refuses two addresses of one type.
        patch = json.dumps({"status": status})
        self._api.kubectl("patch", "node", node["metadata"]["name"], "--subresource=status", "--type=merge", "-p", patch)

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


class AgentProcess:
    """Our agent as a process of its own, with its watches, configured by a file."""

    name = "agent"

    def __init__(self, api: ControlPlane, topology: Topology, cluster: Cluster, folder: Path) -> None:
        self._api, self._topology, self._cluster, self._folder = api, topology, cluster, folder

    @contextlib.contextmanager
    def running(self, config: Config) -> Iterator[Running]:
        path = self._folder / "proxyconfig.yaml"
        path.write_text(yaml.safe_dump(proxy_config(config)))
        with _process(self._topology, agent_argv(self._api.kubeconfig, path), self._folder / f"agent-{config.name}.log"):
            yield self._cluster
        printed = self._topology.node.run(sys.executable, "-m", "proxyconfig_agent", "--cleanup")
        assert "0 kernel objects" in printed, printed
        assert self._topology.node.run("nft", "list", "ruleset") == ""


def agent_argv(kubeconfig: Path, config: Path) -> tuple[str, ...]:
    """The command line of an agent of the node under test, outside of a cluster."""
    return (sys.executable, "-m", "proxyconfig_agent", f"--kubeconfig={kubeconfig}", f"--node-name={NODE_NAME}", f"--config={config}")


def _kube_proxy_configuration(config: Config, kubeconfig: Path) -> Object:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "nodePortAddresses": list(config.node_port_addresses or EVERYWHERE),
        "detectLocalMode": config.detect or "ClusterCIDR",
        "clusterCIDR": ",".join(CLUSTER_CIDR.both) if config.detect == "ClusterCIDR" else "",
        "detectLocal": {"bridgeInterface": POD_INTERFACE, "interfaceNamePrefix": POD_INTERFACES},
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
