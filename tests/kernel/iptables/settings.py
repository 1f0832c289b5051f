"""The configurations that are compared, as kube-proxy's and as ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kernel.traffic.manifest import EVERYWHERE
from tests.support.scenarios.configs import CLUSTER_CIDR
from tests.support.scenarios.scenario import Object

from proxyconfig_api.objects.names import API_VERSION

BRIDGE, PREFIX = "cni0", "veth"


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs from a proxy's defaults in one comparison."""

    name: str
    mode: str = "iptables"
    detect: str = "ClusterCIDR"
    masquerade_all: bool = False
    masquerade_bit: int = 14
    localhost: bool = True
    node_port_addresses: tuple[str, ...] = ()
    liberal: bool = False


def kube_proxy_configuration(setting: Setting, kubeconfig: Path) -> Object:
    """A KubeProxyConfiguration."""
    masquerading = {"masqueradeAll": setting.masquerade_all, "masqueradeBit": setting.masquerade_bit}
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": setting.mode,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "nodePortAddresses": list(setting.node_port_addresses),
        "detectLocalMode": setting.detect,
        "clusterCIDR": ",".join(CLUSTER_CIDR.both) if setting.detect == "ClusterCIDR" else "",
        "detectLocal": {"bridgeInterface": BRIDGE, "interfaceNamePrefix": PREFIX},
        "iptables": {**masquerading, "localhostNodePorts": setting.localhost, "minSyncPeriod": "1s"},
        "nftables": {**masquerading, "minSyncPeriod": "1s"},
        "conntrack": {**_CONNTRACK, "min": 0, "tcpBeLiberal": setting.liberal},
    }


def proxy_config(setting: Setting) -> Object:
    """The ProxyConfig that means the same."""
    details: dict[str, dict[str, Any]] = {
        "ClusterCIDR": {"clusterCIDRs": list(CLUSTER_CIDR.both)},
        "BridgeInterface": {"bridgeInterface": BRIDGE},
        "InterfaceNamePrefix": {"interfaceNamePrefix": PREFIX},
    }
    spec = {
        "mode": setting.mode,
        "conntrack": {**_CONNTRACK, "tcpBeLiberal": setting.liberal},
        "masquerade": {"all": setting.masquerade_all, "bit": setting.masquerade_bit},
        "nodePorts": {"addresses": list(setting.node_port_addresses or EVERYWHERE)},
        "localTraffic": {"detectLocalMode": setting.detect, **details.get(setting.detect, {})},
    }
    if setting.mode == "iptables":
        spec["iptables"] = {"localhostNodePorts": setting.localhost}
    return {"apiVersion": API_VERSION, "kind": "ProxyConfig", "metadata": {"name": setting.name}, "spec": spec}


_CONNTRACK = {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
