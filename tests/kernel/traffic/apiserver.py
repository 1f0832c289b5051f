"""Subjects that are processes and read Services from a real API server: the real kube-proxy, and the agent."""

from __future__ import annotations

import contextlib
import http.client
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from tests.cluster.controlplane import ControlPlane
from tests.kernel import kubeproxy
from tests.kernel.cleanup import clean_up
from tests.kernel.traffic.clusterobjects import node_object
from tests.kernel.traffic.inprocess import empty
from tests.kernel.traffic.manifest import EVERYWHERE, proxy_config
from tests.kernel.traffic.subject import Running
from tests.support.netns import conntrack, ipvs
from tests.support.netns.namespace import run
from tests.support.netns.peers import Prober
from tests.support.netns.process import ended, start
from tests.support.netns.topology import NODE, NODE2, NODE2_NAME, NODE_NAME, POD2_CIDR, POD_CIDR, Topology
from tests.support.polling import eventually
from tests.support.scenarios.apiobjects import ApiObjects
from tests.support.scenarios.apiwriter import ApiWriter
from tests.support.scenarios.book import NETNS
from tests.support.scenarios.configs import CLUSTER_CIDR, POD_INTERFACE, POD_INTERFACES, Config
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object

from proxyconfig_client.connection.config import from_kubeconfig

HEALTH_PORT = 10256
HOST = 240
"""The node's place on the control plane's network."""
SYNC_OF_IPVS_WITHIN_S = 900
"""kube-proxy starts a process for each entry of an ip set."""


class Cluster(ApiObjects):
    """The API objects of the node under test, and whether a proxy has caught up with them."""

    def __init__(self, api: ControlPlane, topology: Topology, pod: Prober) -> None:
        super().__init__(ApiWriter(from_kubeconfig(api.kubeconfig)), NETNS, [pod])
        _plug(api, topology)
        for node in (node_object(NODE_NAME, POD_CIDR, NODE), node_object(NODE2_NAME, POD2_CIDR, NODE2)):
            self.writer.place_node(node)


class KubeProxy:
    """The real kube-proxy: what we expect of ourselves is checked against it."""

    def __init__(self, mode: str, api: ControlPlane, topology: Topology, cluster: Cluster, folder: Path) -> None:
        self.mode, self.name = mode, f"kube-proxy-{mode}"
        self._api, self._topology, self._cluster, self._folder = api, topology, cluster, folder

    @contextlib.contextmanager
    def started(self, config: Config) -> Iterator[Running]:
        """The process; what it made stays in the kernel."""
        path = self._folder / "kube-proxy.yaml"
        path.write_text(yaml.safe_dump(_kube_proxy_configuration(config, self.mode, self._api.kubeconfig)))
        flags = kubeproxy.FLAGS_OF_IPVS if self.mode == "ipvs" else kubeproxy.FLAGS
        argv = (str(self._api.program("kube-proxy")), f"--config={path}", f"--hostname-override={NODE_NAME}", *flags)
        log = self._folder / f"kube-proxy-{config.name}.log"
        with kubeproxy.running(partial(start, self._topology.node, argv, log), log):
            yield SyncedIpvs(self._cluster, log) if self.mode == "ipvs" else self._cluster

    @contextlib.contextmanager
    def running(self, config: Config) -> Iterator[Running]:
        with self.started(config) as cluster:
            yield cluster
        self._topology.node.run("nft", "flush", "ruleset")
        if self.mode == "ipvs":
            ipvs.empty(self._topology.node)  # no rule names an ip set any more
        conntrack.forget(self._topology.node)
        self._topology.node.sysctl({"net.ipv4.conf.all.route_localnet": "0"})


@dataclass(frozen=True, slots=True)
class SyncedIpvs:
    """A kube-proxy in ipvs mode: its virtual servers serve long before a sync comes to the rules, so the end of the sync is in its log."""

    cluster: Cluster
    log: Path

    def apply(self, objects: Mapping[Key, Object]) -> None:
        """Return at the end of a sync that has them all: of the one that serves the newest sentinel, or of the next one, within 30 s."""
        self.cluster.put(objects)
        eventually(self.cluster.caught_up, within_s=SYNC_OF_IPVS_WITHIN_S)
        before = kubeproxy.syncs_of_ipvs(self.log)
        eventually(
            lambda: all(count > before[family] for family, count in kubeproxy.syncs_of_ipvs(self.log).items()),
            within_s=SYNC_OF_IPVS_WITHIN_S,
        )


class AgentProcess:
    """Our agent as a separate process, with its watches, configured by a file."""

    def __init__(self, mode: str, api: ControlPlane, topology: Topology, cluster: Cluster, folder: Path) -> None:
        self.mode, self.name = mode, f"agent-{mode}"
        self._api, self._topology, self._cluster, self._folder = api, topology, cluster, folder

    @contextlib.contextmanager
    def running(self, config: Config) -> Iterator[Running]:
        path = self._folder / "proxyconfig.yaml"
        path.write_text(yaml.safe_dump(proxy_config(config, self.mode)))
        argv = agent_argv(self._api.kubeconfig, path)
        with ended(start(self._topology.node, argv, self._folder / f"agent-{config.name}.log")):
            # What is new from now on comes with a later sync. The first one may have several transactions.
            eventually(lambda: self._topology.node.call(has_synced), within_s=60)
            yield self._cluster
        printed = clean_up(self._topology.node)
        assert "0 kernel objects" in printed, printed
        empty(self._topology.node)


def has_synced() -> bool:
    """Whether the health port of this namespace says that the first sync has ended."""
    connection = http.client.HTTPConnection("127.0.0.1", HEALTH_PORT, timeout=30)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def agent_argv(kubeconfig: Path, config: Path) -> tuple[str, ...]:
    """The command line of an agent of the node under test, outside of a cluster."""
    return (sys.executable, "-m", "proxyconfig_agent", f"--kubeconfig={kubeconfig}", f"--node-name={NODE_NAME}", f"--config={config}")


def _kube_proxy_configuration(config: Config, mode: str, kubeconfig: Path) -> Object:
    localhost = {"localhostNodePorts": config.localhost_node_ports} if mode == "iptables" else {}
    # In ipvs mode it takes whether to masquerade all from the section of iptables.
    masquerading = "nftables" if mode == "nftables" else "iptables"
    sections: dict[str, Object] = {mode: {"minSyncPeriod": "0.1s"}}
    sections.setdefault(masquerading, {}).update(localhost, masqueradeAll=config.masquerade_all)
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "nodePortAddresses": list(config.node_port_addresses or EVERYWHERE),
        "detectLocalMode": config.detect or "ClusterCIDR",
        "clusterCIDR": ",".join(CLUSTER_CIDR.both) if config.detect == "ClusterCIDR" else "",
        "detectLocal": {"bridgeInterface": POD_INTERFACE, "interfaceNamePrefix": POD_INTERFACES},
        **sections,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _plug(api: ControlPlane, topology: Topology) -> None:
    """Join the node to the control plane's network."""
    switch = api.switch
    node = topology.node
    run("ip", "-n", switch.namespace, "link", "add", f"p{HOST}", "type", "veth", "peer", "name", "control", "netns", node.name)
    run("ip", "-n", switch.namespace, "link", "set", f"p{HOST}", "master", "bridge", "up")
    node.ip([f"addr add 198.18.{switch.number}.{HOST}/24 dev control", "link set control up"])
