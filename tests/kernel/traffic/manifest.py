"""The configurations of scenarios as ProxyConfig manifests."""

from __future__ import annotations

from typing import Any

from tests.support.scenarios.configs import CLUSTER_CIDR, POD_INTERFACE, POD_INTERFACES, Config
from tests.support.scenarios.scenario import Object

from proxyconfig_api.objects.names import API_VERSION

EVERYWHERE = ("0.0.0.0/0", "::/0")


def proxy_config(config: Config, mode: str = "nftables") -> Object:
    """The ProxyConfig that means the same."""
    spec: dict[str, Any] = {
        "mode": mode,
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "masquerade": {"all": config.masquerade_all},
        "nodePorts": {"addresses": list(config.node_port_addresses or EVERYWHERE)},
    }
    if mode == "nftables" and config.localhost_node_ports:
        spec["nftables"] = {"localhostNodePorts": True}
    if mode == "iptables":
        spec["iptables"] = {"localhostNodePorts": config.localhost_node_ports}
    if config.detect:
        spec["localTraffic"] = {"detectLocalMode": config.detect, **_DETAILS.get(config.detect, {})}
    return {"apiVersion": API_VERSION, "kind": "ProxyConfig", "metadata": {"name": config.name}, "spec": spec}


_DETAILS: dict[str, dict[str, Any]] = {
    "ClusterCIDR": {"clusterCIDRs": list(CLUSTER_CIDR.both)},
    "BridgeInterface": {"bridgeInterface": POD_INTERFACE},
    "InterfaceNamePrefix": {"interfaceNamePrefix": POD_INTERFACES},
}
