"""From a ProxyConfig, the Node and its addresses to what the rules depend on."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest

from proxyconfig_agent.dataplane.port import Ipvs, LocalTraffic, Settings
from proxyconfig_agent.ingest.model import Address, Network, Node, NodeName
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.node.settings import resolve
from proxyconfig_agent.state.findings import Finding
from proxyconfig_api.encoding import codec
from proxyconfig_api.spec.sections import DetectLocalMode, Iptables, Mode, Nftables, NodePorts, ProxyConfigSpec
from proxyconfig_api.spec.sections import LocalTraffic as LocalTrafficSpec
from proxyconfig_api.values.cidr import Cidr, NodeAddresses


def address(text: str) -> Address:
    return Address(ipaddress.ip_address(text).packed)


def network(text: str) -> Network:
    base, _, prefix = text.partition("/")
    return Network(address(base), int(prefix))


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(address, texts))


def local(*texts: str) -> tuple[LocalAddress, ...]:
    return tuple(LocalAddress(address(text), 24, 2) for text in texts)


NODE = Node(NodeName("n1"), addresses=addresses("10.0.0.5", "fd00::5", "192.0.2.5"), pod_cidrs=(network("10.244.1.0/24"),))
EVERYWHERE = addresses("0.0.0.0", "::")
LOCAL = local("127.0.0.1", "10.0.0.5", "10.0.0.6", "192.0.2.5", "::1", "fe80::5", "fd00::5")


def resolved(
    spec: ProxyConfigSpec | None = None, node: Node = NODE, own: Sequence[LocalAddress] = LOCAL
) -> tuple[Settings, tuple[Finding, ...]]:
    return resolve(spec or ProxyConfigSpec(), node, own, ())


def node_ports(*cidrs: str, mode: Mode = Mode.NFTABLES) -> ProxyConfigSpec:
    return ProxyConfigSpec(mode=mode, node_ports=NodePorts(addresses=NodeAddresses(cidrs=tuple(map(Cidr.parse, cidrs)))))


def test_node_ports_answer_on_the_primary_addresses_by_default() -> None:
    settings, findings = resolved()
    assert settings.node_port_addresses == addresses("10.0.0.5", "fd00::5")
    assert findings == ()


def test_the_other_modes_answer_on_all_addresses_by_default() -> None:
    assert resolved(ProxyConfigSpec(mode=Mode.IPTABLES))[0].node_port_addresses == EVERYWHERE


@pytest.mark.parametrize(
    ("cidrs", "serving"),
    [
        pytest.param(["10.0.0.0/24", "fd00::/8"], ["10.0.0.5", "10.0.0.6", "fd00::5"], id="every address inside, secondary ones too"),
        pytest.param(["10.0.0.6/32", "192.0.2.0/24", "fd00::5/128"], ["10.0.0.6", "192.0.2.5", "fd00::5"], id="several networks"),
        pytest.param(["0.0.0.0/0", "fd00::5/128"], ["0.0.0.0", "fd00::5"], id="all of one family, also those to come"),
        pytest.param(["0.0.0.0/0", "172.16.0.0/12", "::/0"], ["0.0.0.0", "::"], id="all, whatever else is written"),
    ],
)
def test_node_ports_answer_on_the_addresses_inside_of_the_networks(cidrs: list[str], serving: list[str]) -> None:
    settings, findings = resolved(node_ports(*cidrs))
    assert settings.node_port_addresses == addresses(*serving)
    assert findings == ()


@pytest.mark.parametrize(
    ("cidrs", "serving", "words"),
    [
        pytest.param(["10.0.0.5/32"], ["10.0.0.5", "::"], "no network of IPv6: NodePorts answer on every IPv6 address", id="IPv4"),
        pytest.param(["fd00::/8"], ["0.0.0.0", "fd00::5"], "no network of IPv4: NodePorts answer on every IPv4 address", id="IPv6"),
    ],
)
def test_a_family_without_a_network_answers_everywhere_as_with_kube_proxy_and_that_is_told(
    cidrs: list[str], serving: list[str], words: str
) -> None:
    settings, (finding,) = resolved(node_ports(*cidrs))
    assert settings.node_port_addresses == addresses(*serving)
    assert words in finding.message
    assert finding.harmless


def test_a_family_that_the_node_does_not_have_is_not_missed() -> None:
    assert resolved(node_ports("10.0.0.0/24"), own=local("127.0.0.1", "10.0.0.5", "::1", "fe80::5"))[1] == ()


def test_a_network_without_an_address_of_this_node_is_told() -> None:
    settings, (finding,) = resolved(node_ports("172.16.0.0/12", "::/0"))
    assert settings.node_port_addresses == addresses("::")
    assert "172.16.0.0/12 has no effect: no address of this node is in it" in finding.message
    assert not finding.harmless
    assert resolved(node_ports("172.16.0.0/12", "10.0.0.0/8", "::/0"))[1][0].harmless


def test_loopback_serves_no_node_ports_and_that_is_told() -> None:
    settings, (finding,) = resolved(node_ports("127.0.0.0/8", "10.0.0.5/32", "::/0"))
    assert settings.node_port_addresses == addresses("10.0.0.5", "::")
    assert "loopback" in finding.message


def test_a_node_without_addresses_serves_no_node_ports_yet() -> None:
    settings, (finding,) = resolved(node=Node(NodeName("n1")))
    assert settings.node_port_addresses == ()
    assert finding.reason == "NoNodePortAddress"
    assert settings.node_addresses == addresses("10.0.0.5", "10.0.0.6", "192.0.2.5", "fd00::5", "fe80::5")


def test_a_primary_address_that_no_interface_has_is_told() -> None:
    _, (finding,) = resolved(own=local("10.0.0.5"))
    assert "fd00::5 is on none of its interfaces" in finding.message


def detect(mode: DetectLocalMode, *cidrs: str, bridge: str = "", prefix: str = "") -> ProxyConfigSpec:
    section = LocalTrafficSpec(
        detect_local_mode=mode, cluster_cidrs=tuple(map(Cidr.parse, cidrs)), bridge_interface=bridge, interface_name_prefix=prefix
    )
    return ProxyConfigSpec(local_traffic=section)


@pytest.mark.parametrize(
    ("spec", "local_traffic"),
    [
        pytest.param(ProxyConfigSpec(), LocalTraffic(), id="cannot be told"),
        pytest.param(
            detect(DetectLocalMode.CLUSTER_CIDR, "10.244.0.0/16", "10.245.0.0/16", "fd00:1::/48"),
            LocalTraffic(cidrs=(network("10.244.0.0/16"), network("10.245.0.0/16"), network("fd00:1::/48"))),
            id="every network of a family, not only the first",
        ),
        pytest.param(detect(DetectLocalMode.NODE_CIDR), LocalTraffic(cidrs=(network("10.244.1.0/24"),)), id="the node's own"),
        pytest.param(detect(DetectLocalMode.BRIDGE_INTERFACE, bridge="cni0"), LocalTraffic(interface="cni0"), id="bridge"),
        pytest.param(detect(DetectLocalMode.INTERFACE_NAME_PREFIX, prefix="veth"), LocalTraffic(interface_prefix="veth"), id="prefix"),
    ],
)
def test_local_traffic(spec: ProxyConfigSpec, local_traffic: LocalTraffic) -> None:
    settings, findings = resolved(spec)
    assert settings.local_traffic == local_traffic
    assert all(finding.harmless for finding in findings)


def test_a_node_without_pod_networks_is_told_in_the_mode_that_needs_them() -> None:
    _, findings = resolved(detect(DetectLocalMode.NODE_CIDR), node=Node(NodeName("n1"), addresses=addresses("10.0.0.5")))
    assert [finding.reason for finding in findings] == ["NoPodCIDRs"]


def test_a_family_whose_pods_cannot_be_told_is_mentioned() -> None:
    _, (finding,) = resolved(detect(DetectLocalMode.CLUSTER_CIDR, "10.244.0.0/16"))
    assert finding.harmless
    assert "IPv6" in finding.message


def test_service_networks_are_sorted() -> None:
    networks = [network("fd00::/112"), network("10.96.0.0/12"), network("10.64.0.0/12")]
    settings, _ = resolve(ProxyConfigSpec(), NODE, LOCAL, networks)
    assert settings.service_cidrs == (network("10.64.0.0/12"), network("10.96.0.0/12"), network("fd00::/112"))


@pytest.mark.parametrize(
    ("spec", "serves"),
    [
        pytest.param(ProxyConfigSpec(mode=Mode.IPTABLES), True, id="everywhere"),
        pytest.param(ProxyConfigSpec(), False, id="nftables"),
        pytest.param(ProxyConfigSpec(nftables=Nftables(localhost_node_ports=True)), True, id="nftables-by-a-process"),
        pytest.param(ProxyConfigSpec(mode=Mode.IPTABLES, iptables=Iptables(localhost_node_ports=False)), False, id="switched-off"),
        pytest.param(node_ports("10.0.0.0/24", mode=Mode.IPTABLES), False, id="addresses-without-loopback"),
        pytest.param(node_ports("10.0.0.0/24", "127.0.0.0/8", mode=Mode.IPTABLES), True, id="addresses-with-loopback"),
        pytest.param(node_ports("10.0.0.0/24", "::1/128", mode=Mode.IPTABLES), False, id="ipv6-cannot"),
        pytest.param(node_ports("fd00::/8", mode=Mode.IPTABLES), True, id="no-network-of-ipv4"),
    ],
)
def test_localhost_serves_node_ports_where_the_mode_can_and_the_addresses_hold_it(spec: ProxyConfigSpec, serves: bool) -> None:
    assert resolved(spec)[0].localhost_node_ports == serves


def test_loopback_addresses_are_among_those_that_serve_if_they_can() -> None:
    wanted = ("127.0.0.0/8", "::1/128", "10.0.0.5/32")
    assert resolved(node_ports(*wanted, mode=Mode.IPTABLES))[0].node_port_addresses == addresses("10.0.0.5", "127.0.0.1")
    assert resolved(node_ports(*wanted))[0].node_port_addresses == addresses("10.0.0.5")


def test_the_section_of_ipvs_becomes_settings() -> None:
    section = {
        "scheduler": "mh",
        "bindAddresses": True,
        "adoptKubeProxy": True,
        "excludeCIDRs": ["192.0.2.0/24", "2001:db8::/32"],
    }
    spec = codec.decode({"mode": "ipvs", "ipvs": section}, ProxyConfigSpec)
    assert resolve(spec, NODE, (), ())[0].ipvs == Ipvs(
        scheduler="mh",
        binds_addresses=True,
        adopts_kube_proxy=True,
        excluded=(network("192.0.2.0/24"), network("2001:db8::/32")),
    )
