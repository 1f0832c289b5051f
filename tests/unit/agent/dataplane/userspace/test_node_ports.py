"""What of a Service port the proxy process has to do with on loopback addresses."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.combined.nftables_with_localhost import together
from proxyconfig_agent.dataplane.combined.node_ports import at_localhost, node_port_change, node_port_of
from proxyconfig_agent.dataplane.port import Change, Outcome, Refusal, Settings
from proxyconfig_agent.ingest.model import Policy, Protocol, ServiceName

FAR = "10.244.1.1:8080"
PORT = frontends(cluster=(FAR,), node_port=30000, external_policy=Policy.LOCAL, external_ips=(ip("192.0.2.1"),))


def test_a_node_port_is_alone_and_leads_to_all_endpoints() -> None:
    made = node_port_of(PORT)
    assert made is not None
    assert (made.cluster_ip, made.external_ips, made.node_port, made.cluster) == (None, (), 30000, PORT.cluster)
    assert made.uses_cluster
    assert not made.uses_local


def test_what_has_no_node_port_or_another_protocol_is_not_its_business() -> None:
    assert node_port_of(frontends(cluster=(FAR,))) is None
    assert node_port_of(frontends(cluster=(FAR,), node_port=30000, protocol=Protocol.SCTP)) is None


def test_a_change_of_another_address_is_none() -> None:
    assert node_port_change(Change(PORT, replace(PORT, external_ips=()))) is None
    gone = node_port_change(Change(PORT, None))
    assert gone == Change(node_port_of(PORT), None)


def test_loopback_addresses_are_the_only_ones_that_serve() -> None:
    assert at_localhost(Settings()).node_port_addresses == (ip("127.0.0.1"), ip("::1"))


def test_both_outcomes_are_one() -> None:
    refused = Refusal(ServiceName("shop", "web"), "the kernel does not take it")
    one = Outcome(3, (refused,), {"commit": 1.0}, "1 rules")
    other = Outcome(2, (refused,), {"commit": 0.5}, "1 proxy processes", relays=frozenset((b"x",)))
    both = together(one, other)
    assert (both.operations, both.refused, both.took_s, both.relays) == (5, (refused,), {"commit": 1.5}, other.relays)
    assert both.repaired == "1 rules; 1 proxy processes"
