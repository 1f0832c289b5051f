"""A family that the mode cannot serve here: told with what the kernel lacks, and an alarm only where the node uses the family."""

from __future__ import annotations

import pytest
from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.ingest.model import Family, Node, NodeName
from proxyconfig_agent.node.addresses.families import unserved_families
from proxyconfig_agent.state.findings import Topic

LACK = "the kernel lacks address types for IPv6 (Linux 4.10 and later, CONFIG_NFT_FIB_IPV6)"
IPV4_ONLY = Node(NodeName("n1"), addresses=(ip("10.0.0.5"),), pod_cidrs=(network("10.244.1.0/24"),))


def test_where_both_families_are_served_nothing_is_found() -> None:
    assert unserved_families({}, IPV4_ONLY, (network("fd00:96::/112"),)) == ()


def test_a_family_that_the_node_does_not_use_is_a_note() -> None:
    (finding,) = unserved_families({Family.IPV6: LACK}, IPV4_ONLY, (network("10.96.0.0/16"),))
    assert (finding.topic, finding.reason, finding.harmless) == (Topic.TRAFFIC, "FamilyNotServed", True)
    assert finding.message == f"IPv6 is not served, and this node does not use it: {LACK}"


@pytest.mark.parametrize(
    ("node", "service_cidr", "use"),
    [
        pytest.param(IPV4_ONLY, "fd00:96::/112", "the ServiceCIDR fd00:96::/112", id="service-cidr"),
        pytest.param(Node(NodeName("n1"), pod_cidrs=(network("fd00:1::/64"),)), "10.96.0.0/16", "the podCIDR fd00:1::/64", id="pod-cidr"),
        pytest.param(Node(NodeName("n1"), addresses=(ip("fd00::5"),)), "10.96.0.0/16", "the address fd00::5", id="address"),
    ],
)
def test_a_family_that_the_node_uses_is_an_alarm_that_says_whose_services_are_not_served(node: Node, service_cidr: str, use: str) -> None:
    (finding,) = unserved_families({Family.IPV6: LACK}, node, (network(service_cidr),))
    assert (finding.topic, finding.reason, finding.harmless) == (Topic.AGENT, "FamilyNotServed", False)
    assert finding.message.startswith(f"IPv6 Services are not served on this node, which has {use}: {LACK}; ")
    assert "spec.sync.fullSyncPeriod" in finding.message
