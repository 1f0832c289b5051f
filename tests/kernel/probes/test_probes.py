"""Probes through rules that translate a Service's address, on a real kernel: what passes, and in which words the rest fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.kernel.probes.servers import DNS, FAULTY, HTTP, MUTE, serving
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.checks.probes.model import Answer, Kind, Target
from proxyconfig_agent.checks.probes.prober import probe
from proxyconfig_agent.ingest.addresses import parse_address
from proxyconfig_api.status.rollout import ProbeResult

pytestmark = pytest.mark.kernel

VIPS, ENDPOINTS = ("10.96.0.1", "fd00:96::1"), ("192.0.2.2", "2001:db8::2")
TIMEOUT_S = 1.0
RULES = """
table inet services {
    chain output {
        type nat hook output priority -100
        ip daddr 10.96.0.1 dnat to 192.0.2.2
        ip6 daddr fd00:96::1 dnat to 2001:db8::2
    }
    chain filter {
        type filter hook output priority 0
    }
}
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Namespace]:
    """A node whose rules lead two Service addresses to a server."""
    with namespaces("node", "pod") as spaces:
        node, pod = spaces["node"], spaces["pod"]
        node.ip([f"link add pod type veth peer name eth0 netns {pod.name}", "link set pod up", "addr add 192.0.2.1/24 dev pod"])
        node.ip(["addr add 2001:db8::1/64 dev pod nodad", "route add default via 192.0.2.2", "route add default via 2001:db8::2"])
        pod.ip(["link set eth0 up", "addr add 192.0.2.2/24 dev eth0", "addr add 2001:db8::2/64 dev eth0 nodad"])
        node.run("nft", "-f", "-", stdin=RULES)
        with (
            serving(pod, ENDPOINTS[0]),
            serving(pod, ENDPOINTS[1]),
        ):
            yield node


def results(node: Namespace, *asked: tuple[Kind, int]) -> tuple[Answer, ...]:
    targets = [Target(vip, kind, parse_address(vip), port) for kind, port in asked for vip in VIPS]
    return node.call(lambda: asyncio.run(probe(targets, TIMEOUT_S)))


def test_every_kind_passes_through_the_translation_in_both_families(node: Namespace) -> None:
    kinds = [(Kind.TCP, HTTP), (Kind.HTTP, HTTP), (Kind.DNS_UDP, DNS), (Kind.DNS_TCP, DNS)]
    found = results(node, *kinds)
    assert [result.result for result in found] == [ProbeResult.PASSED] * 8, found


def test_what_fails_is_told_with_the_address_and_why(node: Namespace) -> None:
    found = results(node, (Kind.TCP, 1), (Kind.UDP, 1), (Kind.DNS_UDP, MUTE), (Kind.HTTP, FAULTY), (Kind.DNS_TCP, HTTP))
    assert {result.result for result in found} == {ProbeResult.FAILED}
    tcp, udp, mute, faulty, dns = (result.message for result in found[::2])
    assert tcp == "TCP 10.96.0.1:1: Connection refused"
    assert udp == "UDP 10.96.0.1:1: Connection refused"
    assert mute == "DNS over UDP 10.96.0.1:9: no answer within 1 s"
    assert faulty == "HTTP 10.96.0.1:503: HTTP status 503"
    assert dns.startswith("DNS over TCP 10.96.0.1:80: ")


def test_packets_that_are_dropped_are_silence(node: Namespace) -> None:
    node.run("nft", "add", "rule", "inet", "services", "filter", "udp", "dport", "53", "drop")
    try:
        dns = results(node, (Kind.DNS_UDP, DNS), (Kind.DNS_TCP, DNS))
    finally:
        node.run("nft", "flush", "chain", "inet", "services", "filter")
    assert [result.result for result in dns] == [ProbeResult.FAILED] * 2 + [ProbeResult.PASSED] * 2
