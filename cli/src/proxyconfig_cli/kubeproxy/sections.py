"""The sections of a ProxyConfig's spec from the fields of a KubeProxyConfiguration.

What is a default of both is left out, so that an imported ProxyConfig shows where a cluster differs.
"""

from __future__ import annotations

from typing import Any

from proxyconfig_api.spec.sections import Mode
from proxyconfig_cli.kubeproxy.bind_addresses import HEALTHZ_PORT, METRICS_PORT, default_hosts, with_port
from proxyconfig_cli.kubeproxy.configuration import Configuration

Section = dict[str, Any]

_ALL, _PRIMARY = ("0.0.0.0/0", "::/0"), ("primary",)
_DEBUG_VERBOSITY = 4
"""From here on kube-proxy logs what an agent logs with level debug."""
_ANY_HEALTHZ = {f"0.0.0.0:{HEALTHZ_PORT}", f"[::]:{HEALTHZ_PORT}"}
"""What `:10256`, the default of a ProxyConfig, is to a node of either family."""


def conntrack(configuration: Configuration) -> Section:
    fields = [path for path in configuration.changed() if path.startswith("conntrack.")]
    return {path.removeprefix("conntrack."): configuration[path] for path in fields}


def masquerade(configuration: Configuration, source: Mode) -> Section:
    """kube-proxy's ipvs mode reads the fields of iptables (conversion.go)."""
    where = "nftables" if source is Mode.NFTABLES else "iptables"
    changed = [path for path in configuration.changed() if path in (f"{where}.masqueradeBit", f"{where}.masqueradeAll")]
    return {path.removeprefix(f"{where}.masquerade").lower(): configuration[path] for path in changed}


def local_traffic(configuration: Configuration) -> Section:
    """Nothing for ClusterCIDR without a CIDR: then kube-proxy detects no local traffic, either."""
    mode = configuration["detectLocalMode"]
    match mode:
        case "ClusterCIDR":
            cidrs = [cidr.strip() for cidr in str(configuration["clusterCIDR"]).split(",") if cidr.strip()]
            return {"clusterCIDRs": cidrs} if cidrs else {}
        case "BridgeInterface":
            return {"detectLocalMode": mode, "bridgeInterface": configuration["detectLocal.bridgeInterface"]}
        case "InterfaceNamePrefix":
            return {"detectLocalMode": mode, "interfaceNamePrefix": configuration["detectLocal.interfaceNamePrefix"]}
        case _:
            return {"detectLocalMode": mode}


def node_ports(configuration: Configuration, source: Mode, target: Mode) -> Section:
    """Written out where it is a default of the mode, so that another mode does not change it."""
    default = _PRIMARY if source is Mode.NFTABLES else _ALL
    if "nodePortAddresses" not in configuration.values and source is target is Mode.NFTABLES:
        return {}
    return {"addresses": list(dict.fromkeys(configuration.values.get("nodePortAddresses", default)))}  # type: ignore[call-overload]


def agent(configuration: Configuration) -> Section:
    hosts = default_hosts(configuration["bindAddress"])
    healthz = with_port(configuration.values.get("healthzBindAddress", hosts[0]), HEALTHZ_PORT)  # type: ignore[arg-type]
    metrics = with_port(configuration.values.get("metricsBindAddress", hosts[1]), METRICS_PORT)  # type: ignore[arg-type]
    section: Section = {}
    if int(configuration["logging.verbosity"]) >= _DEBUG_VERBOSITY:
        section["logLevel"] = "debug"
    if configuration["logging.format"] != "json":
        section["logFormat"] = configuration["logging.format"]
    if healthz not in _ANY_HEALTHZ:
        section["healthzBindAddress"] = healthz
    if metrics != f"127.0.0.1:{METRICS_PORT}":
        section["metricsBindAddress"] = metrics
    return section


def of_modes(configuration: Configuration, source: Mode, target: Mode) -> dict[str, Section]:
    """The sections of single modes."""
    localhost = serves_localhost(configuration, source)
    sections: dict[str, Section] = {}
    if target in (Mode.IPTABLES, Mode.AUTO) and not localhost:
        sections["iptables"] = {"localhostNodePorts": False}
    if target in (Mode.NFTABLES, Mode.AUTO) and localhost:
        sections["nftables"] = {"localhostNodePorts": True}
    if target in (Mode.IPVS, Mode.AUTO) and source is Mode.IPVS:
        sections["ipvs"] = _ipvs(configuration)
    return sections


def serves_localhost(configuration: Configuration, source: Mode) -> bool:
    """Whether node ports are served on 127.0.0.1, which kube-proxy does in iptables mode alone."""
    return source is Mode.IPTABLES and bool(configuration["iptables.localhostNodePorts"])


def _ipvs(configuration: Configuration) -> Section:
    """With the addresses on kube-ipvs0 that kube-proxy puts there, and its virtual servers taken over with their connections."""
    fields = [path for path in configuration.changed() if path.startswith("ipvs.") and not path.endswith("yncPeriod")]
    values = {path.removeprefix("ipvs."): configuration[path] for path in fields}
    return {"bindAddresses": True, "adoptKubeProxy": True} | {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }
