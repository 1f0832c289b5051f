"""Every field of KubeProxyConfiguration v1alpha1 (Kubernetes 1.36): its default, its flag, and the field of a ProxyConfig with the same
meaning, or why there is none.

`tests/apiserver/test_kube_proxy_configuration.py` holds the table against the real Go type and the real program's flags and defaults.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """How a flag's value is written."""

    TEXT = "text"
    BOOLEAN = "boolean"
    NUMBER = "number"
    LIST = "list"
    """Separated by commas."""
    MAP = "map"
    """`key=true`, separated by commas."""


@dataclass(frozen=True, slots=True)
class Field:
    """`path` below KubeProxyConfiguration, `to` below the spec of a ProxyConfig; where `to` is empty, `why` is a sentence.

    `optional`: a pointer in Go. Of all other fields, a zero means the default, as in kube-proxy (defaults.go)."""

    path: str
    default: object
    to: str = ""
    why: str = ""
    flag: str = ""
    kind: Kind = Kind.TEXT
    optional: bool = False


_PERIOD = "an agent commits each change at once and compares everything once per spec.sync.fullSyncPeriod; the period would slow it down"
_CONNECTION = "an agent has one kind of connection to the API server, which cannot be set"
_SERVER = "agents get the address of the API server from the ConfigMap proxyconfig-apiserver: put this kubeconfig's server there"
_WINDOWS = "Windows nodes are not configured by ProxyConfigs"
_LOG = "an agent's lines are structured, and are written at once"

FIELDS: tuple[Field, ...] = (
    Field("mode", "iptables", "mode", flag="--proxy-mode"),
    Field("iptables.masqueradeBit", 14, "masquerade.bit", flag="--iptables-masquerade-bit", kind=Kind.NUMBER, optional=True),
    Field("iptables.masqueradeAll", False, "masquerade.all", flag="--masquerade-all", kind=Kind.BOOLEAN),
    Field(
        "iptables.localhostNodePorts",
        True,
        "iptables.localhostNodePorts",
        flag="--iptables-localhost-nodeports",
        kind=Kind.BOOLEAN,
        optional=True,
    ),
    Field("iptables.syncPeriod", "30s", why=_PERIOD, flag="--iptables-sync-period"),
    Field("iptables.minSyncPeriod", "1s", why=_PERIOD, flag="--iptables-min-sync-period"),
    Field("ipvs.syncPeriod", "30s", why=_PERIOD, flag="--ipvs-sync-period"),
    Field("ipvs.minSyncPeriod", "0s", why=_PERIOD, flag="--ipvs-min-sync-period"),
    Field("ipvs.scheduler", "", "ipvs.scheduler", flag="--ipvs-scheduler"),
    Field("ipvs.excludeCIDRs", (), "ipvs.excludeCIDRs", flag="--ipvs-exclude-cidrs", kind=Kind.LIST),
    Field("ipvs.strictARP", False, "ipvs.strictARP", flag="--ipvs-strict-arp", kind=Kind.BOOLEAN),
    Field("ipvs.tcpTimeout", "0s", "ipvs.tcpTimeout", flag="--ipvs-tcp-timeout"),
    Field("ipvs.tcpFinTimeout", "0s", "ipvs.tcpFinTimeout", flag="--ipvs-tcpfin-timeout"),
    Field("ipvs.udpTimeout", "0s", "ipvs.udpTimeout", flag="--ipvs-udp-timeout"),
    Field("nftables.masqueradeBit", 14, "masquerade.bit", kind=Kind.NUMBER, optional=True),
    Field("nftables.masqueradeAll", False, "masquerade.all", kind=Kind.BOOLEAN),
    Field("nftables.syncPeriod", "30s", why=_PERIOD),
    Field("nftables.minSyncPeriod", "1s", why=_PERIOD),
    Field("detectLocalMode", "ClusterCIDR", "localTraffic.detectLocalMode", flag="--detect-local-mode"),
    Field("detectLocal.bridgeInterface", "", "localTraffic.bridgeInterface", flag="--pod-bridge-interface"),
    Field("detectLocal.interfaceNamePrefix", "", "localTraffic.interfaceNamePrefix", flag="--pod-interface-name-prefix"),
    Field("clusterCIDR", "", "localTraffic.clusterCIDRs", flag="--cluster-cidr"),
    Field("nodePortAddresses", (), "nodePorts.addresses", flag="--nodeport-addresses", kind=Kind.LIST),
    Field("conntrack.maxPerCore", 32768, "conntrack.maxPerCore", flag="--conntrack-max-per-core", kind=Kind.NUMBER, optional=True),
    Field("conntrack.min", 131072, "conntrack.min", flag="--conntrack-min", kind=Kind.NUMBER, optional=True),
    Field(
        "conntrack.tcpEstablishedTimeout",
        "24h",
        "conntrack.tcpEstablishedTimeout",
        flag="--conntrack-tcp-timeout-established",
        optional=True,
    ),
    Field("conntrack.tcpCloseWaitTimeout", "1h", "conntrack.tcpCloseWaitTimeout", flag="--conntrack-tcp-timeout-close-wait", optional=True),
    Field("conntrack.tcpBeLiberal", False, "conntrack.tcpBeLiberal", flag="--conntrack-tcp-be-liberal", kind=Kind.BOOLEAN),
    Field("conntrack.udpTimeout", "0s", "conntrack.udpTimeout", flag="--conntrack-udp-timeout"),
    Field("conntrack.udpStreamTimeout", "0s", "conntrack.udpStreamTimeout", flag="--conntrack-udp-timeout-stream"),
    Field("healthzBindAddress", "0.0.0.0:10256", "agent.healthzBindAddress", flag="--healthz-bind-address"),
    Field("metricsBindAddress", "127.0.0.1:10249", "agent.metricsBindAddress", flag="--metrics-bind-address"),
    Field("logging.verbosity", 0, "agent.logLevel", flag="-v", kind=Kind.NUMBER),
    Field("logging.format", "text", "agent.logFormat", flag="--logging-format"),
    Field("logging.flushFrequency", "5s", why=_LOG, flag="--log-flush-frequency"),
    Field("logging.vmodule", (), why="an agent has one log level for all its parts", flag="--vmodule", kind=Kind.LIST),
    Field("logging.options.text.splitStream", False, why=_LOG, flag="--log-text-split-stream", kind=Kind.BOOLEAN),
    Field("logging.options.text.infoBufferSize", "0", why=_LOG, flag="--log-text-info-buffer-size"),
    Field("logging.options.json.splitStream", False, why=_LOG, flag="--log-json-split-stream", kind=Kind.BOOLEAN),
    Field("logging.options.json.infoBufferSize", "0", why=_LOG, flag="--log-json-info-buffer-size"),
    Field("clientConnection.kubeconfig", "", why=_SERVER, flag="--kubeconfig"),
    Field("clientConnection.acceptContentTypes", "", why=_CONNECTION),
    Field("clientConnection.contentType", "application/vnd.kubernetes.protobuf", why=_CONNECTION, flag="--kube-api-content-type"),
    Field("clientConnection.qps", 5, why=_CONNECTION, flag="--kube-api-qps", kind=Kind.NUMBER),
    Field("clientConnection.burst", 10, why=_CONNECTION, flag="--kube-api-burst", kind=Kind.NUMBER),
    Field("hostnameOverride", "", why="an agent is given the name of its Node by the API server", flag="--hostname-override"),
    Field(
        "bindAddress",
        "0.0.0.0",  # noqa: S104 - kube-proxy's default, which is compared with
        why="the primary addresses of a node are those in the status of its Node; nothing was ever bound to this one",
        flag="--bind-address",
    ),
    Field(
        "bindAddressHardFail",
        False,
        why="an agent whose port is taken reports it in its NodeProxy, keeps Services working and tries again",
        flag="--bind-address-hard-fail",
        kind=Kind.BOOLEAN,
    ),
    Field("enableProfiling", False, why="agents have no profiling server", flag="--profiling", kind=Kind.BOOLEAN),
    Field("showHiddenMetricsForVersion", "", why="agents hide no metrics", flag="--show-hidden-metrics-for-version"),
    Field("featureGates", {}, why="agents have no feature gates", flag="--feature-gates", kind=Kind.MAP),
    Field(
        "oomScoreAdj",
        -999,
        why="the priority class system-node-critical sets it for the agents' pods",
        flag="--oom-score-adj",
        kind=Kind.NUMBER,
        optional=True,
    ),
    Field("configSyncPeriod", "15m", why="an agent watches, and lists again only when a watch broke", flag="--config-sync-period"),
    Field("portRange", "", why="kube-proxy itself has ignored it since its userspace mode went"),
    Field("winkernel.networkName", "", why=_WINDOWS),
    Field("winkernel.sourceVip", "", why=_WINDOWS),
    Field("winkernel.enableDSR", False, why=_WINDOWS),
    Field("winkernel.rootHnsEndpointName", "", why=_WINDOWS),
    Field("winkernel.forwardHealthCheckVip", False, why=_WINDOWS),
    Field("windowsRunAsService", False, why=_WINDOWS),
)

BY_PATH = {field.path: field for field in FIELDS}
BY_FLAG = {field.flag: field for field in FIELDS if field.flag}

IN_NFTABLES_MODE = {
    "--masquerade-all": "nftables.masqueradeAll",
    "--iptables-sync-period": "nftables.syncPeriod",
    "--iptables-min-sync-period": "nftables.minSyncPeriod",
}
"""The field that a flag sets in nftables mode, if it is another one (options.go, processV1Alpha1Flags)."""

PROCESS_FLAGS = {
    "--boot-id-file": "the agent reads no boot id",
    "--cleanup": "kube-proxy with it does nothing but clean up",
    "--healthz-port": "",
    "--init-only": "kube-proxy with it does nothing but prepare the node; the agents' init container does that",
    "--machine-id-file": "the agent reads no machine id",
    "--master": "agents get the address of the API server from the ConfigMap proxyconfig-apiserver: put this address there",
    "--metrics-port": "",
    "--version": "kube-proxy with it does nothing but print its version",
    "--write-config-to": "kube-proxy with it does nothing but write its configuration",
}
"""Flags without a field, and why they are not carried over; those with an empty reason are read by `flags`."""
