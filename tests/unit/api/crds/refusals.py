"""Specs that are refused, each with the field and the words: by the API server (tests/apiserver) and by the parser (here)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

NAME = "example"


@dataclass(frozen=True)
class Refusal:
    """`says` is what both answer about `field`; `parser` where the parser has other words, as it is no API server."""

    spec: dict[str, Any]
    field: str
    says: str
    parser: str = ""

    @property
    def parser_says(self) -> str:
        return self.parser or self.says


def _case(name: str, spec: dict[str, Any], field: str, says: str, parser: str = "") -> Any:
    return pytest.param(Refusal(spec, field, says, parser), id=name)


def _local(**fields: object) -> dict[str, Any]:
    return {"localTraffic": fields}


def _agent(**fields: object) -> dict[str, Any]:
    return {"agent": fields}


def _rollout(**fields: object) -> dict[str, Any]:
    return {"rollout": fields}


def _probe(**fields: object) -> dict[str, Any]:
    return _rollout(probes={"services": [{"namespace": "shop", "name": "web", "port": 80} | fields]})


NOT_A_NUMBER = "must be a number such as 3 or a percentage from 0% to 100%, not "
NOT_A_DURATION = "must be a duration such as 1h30m, 10s or 250ms, not 1day"
NOT_A_CIDR = "must be a CIDR such as 10.0.0.0/8 or fd00::/64, not "
NOT_AN_ADDRESS = 'must be IP:PORT, [IPv6]:PORT or :PORT, or "" to turn it off; not '
NOT_AN_INTERFACE = "must be 1 to 15 characters without blanks, slashes and colons, not "

REFUSALS = [
    _case("unknown-mode", {"mode": "ebpf"}, "spec.mode", 'supported values: "nftables"', "must be one of nftables, iptables"),
    *(
        _case(
            f"{section}-section-in-mode-{mode}",
            {"mode": mode, section: {}},
            f"spec.{section}",
            f"is for mode {section} or auto: remove it, or set mode to {section} instead of {mode}",
        )
        for section, mode in (("nftables", "iptables"), ("iptables", "nftables"), ("ipvs", "userspace"), ("userspace", "iptables"))
    ),
    _case(
        "in-without-values",
        {"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        "spec.nodeSelector.matchExpressions[0].values",
        "must have a value with operator In or NotIn: add one, or use Exists or DoesNotExist",
    ),
    _case(
        "exists-with-values",
        {"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}},
        "spec.nodeSelector.matchExpressions[0].values",
        "must be empty with operator Exists or DoesNotExist: remove the values, or use In or NotIn",
    ),
    _case(
        "unknown-operator",
        {"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Has"}]}},
        "spec.nodeSelector.matchExpressions[0].operator",
        'supported values: "In", "NotIn", "Exists", "DoesNotExist"',
        "must be one of In, NotIn, Exists, DoesNotExist",
    ),
    _case("priority-as-text", {"priority": "high"}, "spec.priority", "must be of type integer", "must be a whole number, not 'high'"),
    _case(
        "negative-limit",
        {"conntrack": {"min": -1}},
        "spec.conntrack.min",
        "should be greater than or equal to 0",
        "must be a whole number of at least 0, not -1",
    ),
    _case("timeout-in-days", {"conntrack": {"udpTimeout": "1day"}}, "spec.conntrack.udpTimeout", NOT_A_DURATION),
    _case("negative-timeout", {"conntrack": {"udpTimeout": "-1s"}}, "spec.conntrack.udpTimeout", "10s or 250ms, not -1s"),
    _case(
        "timeout-beyond-the-kernel",
        {"conntrack": {"tcpEstablishedTimeout": "577h"}},
        "spec.conntrack.tcpEstablishedTimeout",
        "must be at most 576h, not 577h: the kernel counts no further",
    ),
    _case(
        "timeout-of-half-a-second",
        {"conntrack": {"tcpCloseWaitTimeout": "1500ms"}},
        "spec.conntrack.tcpCloseWaitTimeout",
        "must be whole seconds, the kernel's unit, not 1500ms",
        "must be whole seconds, the kernel's unit, not 1s500ms",
    ),
    _case(
        "module-with-a-blank",
        {"kernel": {"modules": ["br_netfilter x"]}},
        "spec.kernel.modules[0]",
        "must be the name of a module as lsmod prints it, such as br_netfilter, not br_netfilter x",
    ),
    _case(
        "module-that-looks-like-an-option",
        {"kernel": {"modules": ["ip_vs", "--remove"]}},
        "spec.kernel.modules[1]",
        "must be the name of a module as lsmod prints it, such as br_netfilter, not --remove",
    ),
    _case(
        "module-twice",
        {"kernel": {"modules": ["a", "a"]}},
        "spec.kernel.modules[1]",
        'Duplicate value: "a"',
        "a is there twice: remove one",
    ),
    *(
        _case(f"sysctl-{key}", {"kernel": {"sysctls": {key: "1"}}}, "spec.kernel.sysctls", says)
        for key, says in (
            ("kernel.panic", "must be names below net with dots, such as net.core.somaxconn"),
            ("net.ipv4..ip_forward", "must be names below net with dots, such as net.core.somaxconn"),
            ("net/../kernel/panic", "must be names below net with dots, such as net.core.somaxconn"),
            ("net.netfilter.nf_conntrack_max", "it is set by spec.conntrack (maxPerCore and min)"),
            ("net.netfilter.nf_conntrack_tcp_timeout_established", "it is set by spec.conntrack (tcpEstablishedTimeout)"),
            ("net.netfilter.nf_conntrack_tcp_timeout_close_wait", "it is set by spec.conntrack (tcpCloseWaitTimeout)"),
            ("net.netfilter.nf_conntrack_tcp_be_liberal", "it is set by spec.conntrack (tcpBeLiberal)"),
            ("net.netfilter.nf_conntrack_udp_timeout", "it is set by spec.conntrack (udpTimeout)"),
            ("net.netfilter.nf_conntrack_udp_timeout_stream", "it is set by spec.conntrack (udpStreamTimeout)"),
        )
    ),
    _case(
        "mark-bit-32",
        {"masquerade": {"bit": 32}},
        "spec.masquerade.bit",
        "should be less than or equal to 31",
        "must be a whole number of at most 31, not 32",
    ),
    *(
        _case(
            f"{mode}-without-{field}",
            _local(detectLocalMode=mode),
            f"spec.localTraffic.{field}",
            f"is needed with detectLocalMode {mode}: add it, or choose another mode",
        )
        for mode, field in (("BridgeInterface", "bridgeInterface"), ("InterfaceNamePrefix", "interfaceNamePrefix"))
    ),
    *(
        _case(
            f"{field}-with-{mode}",
            _local(**{"detectLocalMode": mode, field: value, needed: "cni0"} if needed else {"detectLocalMode": mode, field: value}),
            f"spec.localTraffic.{field}",
            f"is for detectLocalMode {field[:1].upper() + field[1:].removesuffix('s')}: remove it, or set that mode instead of {mode}",
        )
        for field, value, mode, needed in (
            ("clusterCIDRs", ["10.0.0.0/8"], "NodeCIDR", ""),
            ("clusterCIDRs", ["10.0.0.0/8"], "BridgeInterface", "bridgeInterface"),
            ("bridgeInterface", "cni0", "NodeCIDR", ""),
            ("bridgeInterface", "cni0", "InterfaceNamePrefix", "interfaceNamePrefix"),
            ("interfaceNamePrefix", "veth", "NodeCIDR", ""),
        )
    ),
    _case("wrong-cluster-cidr", _local(clusterCIDRs=["10.0.0.300/8"]), "spec.localTraffic.clusterCIDRs[0]", NOT_A_CIDR + "10.0.0.300/8"),
    *(
        _case(f"cidr-{text}", _local(clusterCIDRs=["10.0.0.0/8", text]), "spec.localTraffic.clusterCIDRs[1]", NOT_A_CIDR + text)
        for text in (
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/255.0.0.0",
            "fd00::/129",
            "fd00:::/64",
            "1::2::3/64",
            "fd00:1/64",
        )
    ),
    _case(
        "bridge-with-a-slash",
        _local(detectLocalMode="BridgeInterface", bridgeInterface="a/b"),
        "spec.localTraffic.bridgeInterface",
        NOT_AN_INTERFACE + "a/b",
    ),
    _case(
        "prefix-with-a-blank",
        _local(detectLocalMode="InterfaceNamePrefix", interfaceNamePrefix="a b"),
        "spec.localTraffic.interfaceNamePrefix",
        NOT_AN_INTERFACE + "a b",
    ),
    _case("node-port-address", {"nodePorts": {"addresses": ["node"]}}, "spec.nodePorts.addresses", NOT_A_CIDR + "node"),
    _case(
        "primary-and-cidrs",
        {"nodePorts": {"addresses": ["primary", "10.0.0.0/8"]}},
        "spec.nodePorts.addresses",
        '"primary" stands alone: remove it or the CIDRs',
    ),
    _case(
        "no-node-port-addresses",
        {"nodePorts": {"addresses": []}},
        "spec.nodePorts.addresses",
        "should have at least 1 items",
        'must be ["primary"] or a list of CIDRs; leave it out for the default of the mode',
    ),
    _case(
        "shortest-above-longest",
        {"sync": {"minSyncPeriod": "2h"}},
        "spec.sync.minSyncPeriod",
        "must not exceed fullSyncPeriod: 2h is more than 1h",
    ),
    _case("no-full-sync", {"sync": {"fullSyncPeriod": "0s"}}, "spec.sync.fullSyncPeriod", "must be greater than 0s"),
    _case("sync-in-days", {"sync": {"minSyncPeriod": "1day"}}, "spec.sync.minSyncPeriod", NOT_A_DURATION),
    _case("drift-check-in-days", {"sync": {"driftCheckPeriod": "1day"}}, "spec.sync.driftCheckPeriod", NOT_A_DURATION),
    _case(
        "scheduler-with-a-blank",
        {"mode": "ipvs", "ipvs": {"scheduler": "r r"}},
        "spec.ipvs.scheduler",
        "must be the name of a scheduler such as rr or lc, not r r",
    ),
    _case(
        "ipvs-timeout-of-half-a-second",
        {"mode": "ipvs", "ipvs": {"tcpFinTimeout": "500ms"}},
        "spec.ipvs.tcpFinTimeout",
        "must be whole seconds, the kernel's unit, not 500ms",
    ),
    _case("excluded-cidr", {"mode": "ipvs", "ipvs": {"excludeCIDRs": ["x/8"]}}, "spec.ipvs.excludeCIDRs[0]", NOT_A_CIDR + "x/8"),
    _case(
        "two-canaries",
        _rollout(canary={"nodes": 1, "selector": {}}),
        "spec.rollout.canary.nodes",
        "is for a canary without a selector: remove one of both",
    ),
    _case(
        "no-node-at-once",
        _rollout(maxUnavailable=0),
        "spec.rollout.maxUnavailable",
        "must be at least 1 or 1%: to stop a rollout, set paused to true",
    ),
    _case(
        "no-percent-at-once",
        _rollout(maxUnavailable="0%"),
        "spec.rollout.maxUnavailable",
        "must be at least 1 or 1%: to stop a rollout, set paused to true",
    ),
    *(
        _case(f"{field}-{value}", _rollout(**{field: value}), f"spec.rollout.{field}", f"{NOT_A_NUMBER}{value}")
        for field in ("maxUnavailable", "maxFailures")
        for value in ("5", "101%", "-1%", -1)
    ),
    _case("canary-of-words", _rollout(canary={"nodes": "one"}), "spec.rollout.canary.nodes", NOT_A_NUMBER + "one"),
    _case(
        "canary-with-values",
        _rollout(canary={"selector": {"matchExpressions": [{"key": "a", "operator": "NotIn"}]}}),
        "spec.rollout.canary.selector.matchExpressions[0].values",
        "must have a value with operator In or NotIn: add one, or use Exists or DoesNotExist",
    ),
    _case("hold-in-days", _rollout(holdPeriod="1day"), "spec.rollout.holdPeriod", NOT_A_DURATION),
    _case(
        "deadline-within-hold",
        _rollout(holdPeriod="15m"),
        "spec.rollout.progressDeadline",
        "must exceed holdPeriod: 10m is not more than 15m",
    ),
    _case(
        "unknown-way-out",
        _rollout(onFailure="Ignore"),
        "spec.rollout.onFailure",
        'supported values: "Rollback"',
        "must be one of Rollback, Pause",
    ),
    _case(
        "path-of-tcp",
        _probe(path="/x"),
        "spec.rollout.probes.services[0].path",
        "is for protocol HTTP: remove it, or set protocol to HTTP instead of TCP",
    ),
    _case(
        "path-without-slash",
        _probe(protocol="HTTP", path="x"),
        "spec.rollout.probes.services[0].path",
        "must begin with a slash, such as /healthz, not x",
    ),
    _case(
        "image-with-a-blank",
        _agent(image="proxyconfig agent"),
        "spec.agent.image",
        "must be an image such as registry.example.com/proxyconfig-agent:v1, not proxyconfig agent",
    ),
    _case("unknown-log-level", _agent(logLevel="trace"), "spec.agent.logLevel", 'supported values: "debug"', "must be one of debug, info"),
    *(
        _case(f"address-{text}", _agent(healthzBindAddress=text), "spec.agent.healthzBindAddress", NOT_AN_ADDRESS + text)
        for text in ("10256", "0.0.0.0", ":0", ":65536", "host:80", "::1:80", "[10.0.0.1]:80")
    ),
    _case(
        "one-port-for-both",
        _agent(healthzBindAddress=":10256", metricsBindAddress="127.0.0.1:10256"),
        "spec.agent.metricsBindAddress",
        "must have another port than healthzBindAddress: both have 10256",
    ),
    _case(
        "toleration-of-any-value-with-a-value",
        _agent(tolerations=[{"operator": "Exists", "value": "x"}]),
        "spec.agent.tolerations[0].value",
        "must be empty with operator Exists: remove it, or use Equal",
    ),
]

SERVER_ONLY = [
    _case(
        "mapped-cidr", _local(clusterCIDRs=["::ffff:10.0.0.0/104"]), "spec.localTraffic.clusterCIDRs[0]", NOT_A_CIDR + "::ffff:10.0.0.0/104"
    ),
    _case(
        "cidr-twice",
        _local(clusterCIDRs=["10.0.0.0/8", "10.0.0.0/8"]),
        "spec.localTraffic.clusterCIDRs[1]",
        'Duplicate value: "10.0.0.0/8"',
    ),
    _case(
        "cluster-cidr-mode-without-cidr",
        _local(detectLocalMode="ClusterCIDR"),
        "spec.localTraffic.clusterCIDRs",
        "is needed with detectLocalMode ClusterCIDR: add it, or choose another mode",
    ),
    _case(
        "request-above-limit",
        _agent(resources={"requests": {"memory": "1Gi"}, "limits": {"memory": "100Mi"}}),
        "spec.agent.resources.requests",
        "must not exceed limits: raise the limit or lower the request",
    ),
    _case("odd-quantity", _agent(resources={"limits": {"memory": "much"}}), "spec.agent.resources.limits.memory", "should match"),
    _case(
        "sysctl-without-value",
        {"kernel": {"sysctls": {"net.core.somaxconn": ""}}},
        "spec.kernel.sysctls.net.core.somaxconn",
        "at least 1 chars",
    ),
]
"""What is refused to those who write, and harmless to those who read."""

ACCEPTED = [
    pytest.param({}, id="nothing"),
    pytest.param(
        _local(clusterCIDRs=["10.0.0.0/8", "10.128.0.1/9", "fd00::/8", "::/0", "1:2:3:4:5:6:7:8/128", "1::8/1", "::8/0"]),
        id="several-ranges",
    ),
    pytest.param(_local(detectLocalMode="NodeCIDR"), id="node-cidr"),
    pytest.param(_local(detectLocalMode="BridgeInterface", bridgeInterface="cni0"), id="bridge"),
    pytest.param(_local(detectLocalMode="InterfaceNamePrefix", interfaceNamePrefix="veth"), id="prefix"),
    pytest.param({"nodePorts": {"addresses": ["primary"]}}, id="primary"),
    pytest.param({"nodePorts": {"addresses": ["0.0.0.0/0", "::/0"]}}, id="all-addresses"),
    pytest.param(
        _rollout(canary={"nodes": "2%"}, maxUnavailable=5, maxFailures="1%", topologyKey="topology.kubernetes.io/zone"), id="rollout"
    ),
    pytest.param(
        _rollout(canary={"selector": {"matchLabels": {"pool": "canary"}}}, holdPeriod="0", onFailure="Pause"), id="canary-by-selector"
    ),
    pytest.param(_probe(protocol="HTTP", path="/healthz", type="NodePort"), id="probe"),
    pytest.param({"mode": "auto", "ipvs": {"scheduler": "mh"}, "iptables": {}, "userspace": {}}, id="auto-with-all-sections"),
    pytest.param({"kernel": {"modules": ["xt_DSCP", "br_netfilter"], "sysctls": {"net.ipv4.conf.eth0/100.rp_filter": "2"}}}, id="kernel"),
    pytest.param(
        {"conntrack": {"maxPerCore": 0, "udpTimeout": "1h0.5m", "tcpEstablishedTimeout": "576h", "udpStreamTimeout": "0"}}, id="conntrack"
    ),
    pytest.param(_agent(healthzBindAddress="", metricsBindAddress=""), id="no-servers"),
    pytest.param(_agent(healthzBindAddress="[fd00::1]:10256", metricsBindAddress="0.0.0.0:9"), id="both-families"),
    pytest.param(_agent(image="registry.example.com:5000/a/b@sha256:0123", resources={"limits": {"cpu": 1, "memory": "1Gi"}}), id="image"),
    pytest.param(_agent(tolerations=[], imagePullSecrets=[{"name": "s"}], imagePullPolicy="Never"), id="no-tolerations"),
    pytest.param(
        {"nodeSelector": {"matchLabels": {"a/b": ""}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}]}}, id="nodes"
    ),
]
