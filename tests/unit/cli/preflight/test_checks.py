"""What preflight finds, as a table: facts, and the findings of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_cli.kubeproxy.configuration import Configuration
from proxyconfig_cli.kubeproxy.conversion import imported
from proxyconfig_cli.preflight.facts import Facts, KubeProxy, Node, ProxyPod, Service
from proxyconfig_cli.preflight.report import report, summary


def node(name: str, kernel: str = "6.1.0", system: str = "linux") -> Node:
    info = {"kernelVersion": kernel, "operatingSystem": system}
    return codec.decode({"metadata": {"name": name}, "status": {"nodeInfo": info}}, Node)


def service(name: str, *, node_port: int = 0, protocol: str = "TCP", **spec: Any) -> Service:
    port = {"port": 80, "protocol": protocol, "nodePort": node_port}
    return codec.decode({"metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": [port], **spec}}, Service)


def agent(name: str, status: Mapping[str, Any]) -> NodeProxy:
    return NodeProxy.parse({"metadata": {"name": name}, "spec": {"configName": "default", "revisionName": "r"}, "status": dict(status)})


def before(values: Mapping[str, object], *, localhost: bool = False, external_ips: bool = True) -> KubeProxy:
    spec = imported(Configuration(values), name="default").spec
    return KubeProxy(spec.mode, spec, serves_localhost=localhost, serves_external_ips=external_ips)


IPTABLES = before({}, localhost=True)
IPVS = before({"mode": "ipvs", "ipvs.scheduler": "lc"})
NFTABLES = before({"mode": "nftables"})
LIBERAL = {"conntrack": {"tcpBeLiberal": True}}


def spec(**fields: Any) -> ProxyConfigSpec:
    return codec.decode(fields, ProxyConfigSpec)


def found(facts: Facts) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(finding.severity.value, finding.check, finding.objects) for finding in report(facts)]


ANNOTATED = Metadata(name="s", namespace="shop", annotations={"proxyconfig.dev/ipvs-scheduler": "lc"})
UNREADY = [
    {"type": "Ready", "status": "False", "reason": "NotSynced", "message": "no"},
    {"type": "Degraded", "status": "True", "reason": "PortTaken", "message": "no port"},
    {"type": "OtherProxyPresent", "status": "True", "reason": "KubeProxyRulesLeft", "message": "run kube-proxy --cleanup"},
    {"type": "Connected", "status": "True", "reason": "AsExpected", "message": ""},
]
OBSERVING = [{"type": "OtherProxyPresent", "status": "True", "reason": "KubeProxyRunning", "message": "kube-proxy answers"}]


@pytest.mark.parametrize(
    ("facts", "findings"),
    [
        pytest.param(Facts(NFTABLES, spec()), [], id="nothing"),
        pytest.param(
            Facts(NFTABLES, spec(), nodes=(node("a", "5.10.0-28"), node("b", "5.15.3"), node("w", "10.0.2", "windows"), node("x", "?"))),
            [
                ("Problem", "KernelTooOld", ("a (5.10.0-28)",)),
                ("Note", "OperatingSystem", ("w",)),
                ("Note", "NoAgent", ("a", "b", "x")),
            ],
            id="kernels",
        ),
        pytest.param(
            Facts(NFTABLES, spec(mode="auto"), nodes=(node("a", "4.18"),)), [("Note", "NoAgent", ("a",))], id="auto takes what works"
        ),
        pytest.param(
            Facts(
                NFTABLES,
                spec(),
                nodes=(node("a"), node("b")),
                agents={
                    name: agent(name, {"modules": {"items": [{"name": "nf_tables", "state": "Missing", "message": "modprobe nf_tables"}]}})
                    for name in ("a", "b")
                },
            ),
            [("Problem", "ModuleMissing", ("a", "b"))],
            id="modules",
        ),
        pytest.param(
            Facts(
                NFTABLES,
                spec(),
                agents={
                    "a": agent("a", {"capabilities": {"iptables": "1.8.9 (nft)"}}),
                    "b": agent("b", {"capabilities": {"iptables": "1.8.9 (legacy)"}}),
                    "c": agent("c", {"capabilities": {"iptables": "1.8.9 (nft)"}}),
                    "d": agent("d", {"capabilities": {"kernel": "6.1.0"}}),
                },
            ),
            [("Note", "IptablesBackEnd", ("a", "c")), ("Note", "IptablesBackEnd", ("b",))],
            id="back ends of iptables",
        ),
        pytest.param(
            Facts(
                NFTABLES, spec(), agents={"a": agent("a", {"mode": {"reason": "ModeUnsupported", "message": "no"}, "conditions": UNREADY})}
            ),
            [
                ("Problem", "ModeUnsupported", ("a",)),
                *(("Problem", reason, ("a",)) for reason in ("NotSynced", "PortTaken", "KubeProxyRulesLeft")),
            ],
            id="agents",
        ),
        pytest.param(
            Facts(
                NFTABLES,
                spec(),
                nodes=(node("a"), node("b")),
                agents={"a": agent("a", {})},
                proxies=tuple(ProxyPod(name, "DaemonSet kube-system/kube-proxy") for name in ("a", "b", "elsewhere")),
            ),
            [("Problem", "OtherProxyPresent", ("a",)), ("Note", "NoAgent", ("b",)), ("Note", "OtherProxy", ("b",))],
            id="other proxies",
        ),
        pytest.param(
            Facts(
                NFTABLES,
                spec(takeover="Observe"),
                nodes=(node("a"), node("b")),
                agents={name: agent(name, {"conditions": OBSERVING}) for name in ("a", "b")},
                proxies=tuple(ProxyPod(name, "DaemonSet kube-system/kube-proxy") for name in ("a", "b")),
            ),
            [("Note", "OtherProxy", ("a", "b"))],
            id="a proxy that is observed",
        ),
        pytest.param(
            Facts(IPTABLES, spec(**LIBERAL), services=(service("np", node_port=30080), service("ip"))),
            [("Change", "LocalhostNodePorts", ("shop/np",)), ("Change", "NodePortAddresses", ("shop/np",))],
            id="node ports",
        ),
        pytest.param(
            Facts(
                IPTABLES,
                spec(nftables={"localhostNodePorts": True}, nodePorts={"addresses": ["0.0.0.0/0", "::/0"]}, **LIBERAL),
                services=(service("np", node_port=30080),),
            ),
            [],
            id="node ports as before",
        ),
        pytest.param(Facts(IPTABLES, spec()), [("Change", "InvalidPackets", ())], id="INVALID packets"),
        pytest.param(
            Facts(NFTABLES, spec(mode="userspace"), services=(service("s", protocol="SCTP"), service("l", externalTrafficPolicy="Local"))),
            [("Problem", "SCTP", ("shop/s",)), ("Change", "ClientAddresses", ("shop/l",))],
            id="userspace",
        ),
        pytest.param(
            Facts(
                before({"mode": "nftables"}, external_ips=False), spec(), services=(service("e", externalIPs=["192.0.2.1"]), service("o"))
            ),
            [("Problem", "ExternalIPs", ("shop/e",))],
            id="externalIPs that were ignored",
        ),
        pytest.param(
            Facts(
                NFTABLES, spec(), services=(service("e", externalIPs=["192.0.2.1"]), service("d", externalIPs=["192.0.2.1", "192.0.2.2"]))
            ),
            [("Change", "SharedAddress", ("shop/d", "shop/e"))],
            id="one address twice",
        ),
        pytest.param(
            Facts(
                IPVS,
                spec(nodePorts={"addresses": ["0.0.0.0/0", "::/0"]}),
                services=(
                    service("l", externalTrafficPolicy="Local"),
                    service("a", sessionAffinity="ClientIP"),
                    service("r", loadBalancerSourceRanges=["10.0.0.0/8"]),
                ),
            ),
            [
                ("Change", "ExternalTrafficPolicy", ("shop/l",)),
                ("Change", "Scheduler", ()),
                ("Change", "SessionAffinity", ("shop/a",)),
                ("Note", "SourceRanges", ("shop/r",)),
            ],
            id="from ipvs",
        ),
        pytest.param(
            Facts(NFTABLES, spec(), services=(msgspec.structs.replace(service("s"), metadata=ANNOTATED),)),
            [("Note", "SchedulerAnnotation", ("shop/s",))],
            id="an annotation of ipvs mode",
        ),
        pytest.param(
            Facts(IPTABLES, spec(mode="iptables"), services=(service("a", sessionAffinity="ClientIP"), service("np", node_port=1))),
            [],
            id="iptables mode is adopted as it is",
        ),
    ],
)
def test_facts_have_findings(facts: Facts, findings: Sequence[object]) -> None:
    assert found(facts) == list(findings)


@pytest.mark.parametrize("values", [{}, {"mode": "nftables"}, {"mode": "ipvs"}], ids=["iptables", "nftables", "ipvs"])
def test_what_import_prints_changes_no_node_port_and_no_address(values: dict[str, object]) -> None:
    kube_proxy = before(values, localhost=not values)
    services = (service("np", node_port=30080), service("a", externalIPs=["192.0.2.1"]))
    assert not [check for _, check, _ in found(Facts(kube_proxy, kube_proxy.spec, services=services)) if check != "Scheduler"]


def test_every_message_is_a_sentence_without_a_full_stop() -> None:
    facts = Facts(IPTABLES, spec(), nodes=(node("a", "5.4"),), services=(service("np", node_port=1),))
    assert all(finding.message and not finding.message.endswith(".") for finding in report(facts))


def test_the_summary_counts() -> None:
    assert summary(report(Facts(IPTABLES, spec(), nodes=(node("a", "5.4"),)))) == "1 problem, 1 change, 1 note"
