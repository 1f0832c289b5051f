"""Host ports of pods beside Services in ipvs mode: rules as CNI's portmap writes them, for all that is sent to a local address.

ClusterIPs are local addresses in this mode, as they are with kube-proxy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernels.ipvs.packets import FAMILIES, SETTINGS, Served, endpoint, service, service_ip
from tests.support.netns.namespace import Namespace
from tests.support.netns.topology import NODE

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.port import Change

HOST_PORT, OTHER_PORT = 80, 9999
"""One is the port of the Services, too; the other one is no Service's."""
_PROGRAMS = {4: "iptables-nft", 6: "ip6tables-nft"}


@contextlib.contextmanager
def host_ports(node: Namespace, family: int) -> Iterator[None]:
    """Of the pod far1, as portmap writes them."""
    program, to = _PROGRAMS[family], endpoint("far1", family)
    node.run(program, "-t", "nat", "-N", "CNI-HOSTPORT-DNAT")
    for number in (HOST_PORT, OTHER_PORT):
        rule = ("-p", "tcp", "--dport", str(number), "-j", "DNAT", "--to-destination", to)
        node.run(program, "-t", "nat", "-A", "CNI-HOSTPORT-DNAT", *rule)
    for chain in ("PREROUTING", "OUTPUT"):
        node.run(program, "-t", "nat", "-A", chain, "-m", "addrtype", "--dst-type", "LOCAL", "-j", "CNI-HOSTPORT-DNAT")
    try:
        yield
    finally:
        for chain in ("PREROUTING", "OUTPUT", "CNI-HOSTPORT-DNAT"):
            node.run(program, "-t", "nat", "-F", chain)
        node.run(program, "-t", "nat", "-X", "CNI-HOSTPORT-DNAT")


@pytest.mark.parametrize("first", ["portmap", "agent"])
@pytest.mark.parametrize("family", FAMILIES)
def test_host_ports_take_nothing_that_is_sent_to_a_cluster_ip_and_go_on_at_the_addresses_of_the_node(
    world: Served, family: int, first: str
) -> None:
    node = world.topology.node
    web, none = service(family, 1, "near1"), service(family, 2)
    with contextlib.ExitStack() as stack:
        if first == "portmap":
            stack.enter_context(host_ports(node, family))
        made = stack.enter_context(contextlib.closing(Entered(node, Ipvs)))
        stack.callback(made.remove)
        made.resync(SETTINGS, [web, none])
        if first == "agent":
            stack.enter_context(host_ports(node, family))
        for client in ("client", "node", "outside"):
            assert world.asked(client, service_ip(family, 1)).keys() == {"near1"}, client
            assert world.asked(client, service_ip(family, 2)).keys() == {"REJECT"}, client
            assert world.asked(client, service_ip(family, 1), OTHER_PORT).keys() == {"REJECT"}, client
        assert world.asked("outside", NODE[family], HOST_PORT).keys() == {"far1"}
        made.apply([Change(web, None), Change(none, service(family, 2, "near1"))])
        assert world.asked("client", service_ip(family, 2)).keys() == {"near1"}
