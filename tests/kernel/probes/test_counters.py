"""The counters that are watched during a change move where packets are rejected, on a real kernel."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.checks.probes import counters
from proxyconfig_agent.checks.probes.signals import ICMP_UNREACHABLE, TCP_RESETS

pytestmark = pytest.mark.kernel

OWN, SERVICE = ("192.0.2.1", "2001:db8::1"), ("10.96.0.1", "fd00:96::1")
RULES = """
table inet services {
    chain forward {
        type filter hook forward priority 0
        ip daddr 10.96.0.1 reject
        ip6 daddr fd00:96::1 reject
    }
}
"""


@pytest.fixture(scope="module")
def pod() -> Iterator[tuple[Namespace, Namespace]]:
    """A pod, and its node, which forwards and rejects two Service addresses, as those without endpoints are."""
    with namespaces("node", "pod") as spaces:
        node, pod = spaces["node"], spaces["pod"]
        node.ip([f"link add pod type veth peer name eth0 netns {pod.name}", "link set pod up", "addr add 192.0.2.1/24 dev pod"])
        node.ip(["addr add 2001:db8::1/64 dev pod nodad", "route add 10.96.0.0/16 dev lo", "route add fd00:96::/112 dev lo"])
        pod.ip(["link set eth0 up", "addr add 192.0.2.2/24 dev eth0", "addr add 2001:db8::2/64 dev eth0 nodad"])
        pod.ip(["route add default via 192.0.2.1", "route add default via 2001:db8::1"])
        node.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        node.run("nft", "-f", "-", stdin=RULES)
        yield pod, node


def connect(address: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client, contextlib.suppress(OSError):
        client.settimeout(60)
        client.connect((address, 80))


@pytest.mark.parametrize(
    ("address", "name"),
    [*((each, ICMP_UNREACHABLE) for each in SERVICE), *((each, TCP_RESETS) for each in OWN)],
)
def test_a_packet_that_is_refused_is_counted(pod: tuple[Namespace, Namespace], address: str, name: str) -> None:
    client, node = pod
    before = node.call(counters.read)[name]

    client.call(connect, address)

    after = node.call(counters.read)[name]
    assert before is not None
    assert after is not None
    assert after > before
