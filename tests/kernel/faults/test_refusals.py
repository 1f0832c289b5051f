"""What cannot be done is reported where a user looks, in words that name it, and harms nothing else."""

from __future__ import annotations

import copy
import sys

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, order
from tests.kernel.faults.conftest import Web
from tests.kernel.traffic.apiserver import Cluster
from tests.support.netns import ipvs
from tests.support.netns.topology import Topology
from tests.support.polling import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

SERVICE = ("Service", "matrix-load-balancer", "web")


def test_a_service_with_an_address_of_the_wrong_family_is_set_aside_alone(agent: Agent, api_cluster: Cluster, web: Web) -> None:
    wrong = copy.deepcopy(web.objects[SERVICE])
    wrong["metadata"] = {"name": "four-only", "namespace": "wrong-family"}
    wrong["spec"] = {
        "clusterIP": "10.96.254.1",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "externalIPs": ["fd00:60::99"],
        "ports": [{"name": "web", "port": 80}],
    }
    del wrong["status"]
    with agent.running():
        agent.serves()
        api_cluster.put({**web.objects, ("Service", "wrong-family", "four-only"): wrong})

        (event,) = eventually(lambda: agent.events("Quarantined", "Service"), within_s=60, every_s=0.2)
        assert event["regarding"]["name"] == "four-only"
        assert "fd00:60::99 is IPv6, but the Service has no IPv6 cluster IP" in event["note"]
        told = eventually(lambda: agent.status().get("quarantined", []), within_s=60, every_s=0.2)
        assert [entry["service"] for entry in told] == ["wrong-family/four-only"]
        assert agent.condition("Degraded")[:2] == ("True", "QuarantinedServices")
        assert agent.ready()
        assert web.served()

        api_cluster.put(web.objects)
        eventually(lambda: agent.condition("Degraded")[0] == "False", within_s=60, every_s=0.2)


def test_of_two_services_with_one_address_the_older_has_it_and_the_other_has_the_rest(agent: Agent, api_cluster: Cluster, web: Web) -> None:
    """The API server takes it; kube-proxy leaves to chance which of the two it is."""
    older = web.objects[SERVICE]
    rival = copy.deepcopy(older)
    rival["metadata"] = {"name": "a-rival", "namespace": "rivals"}
    rival["spec"] |= {"clusterIP": "10.96.254.2", "clusterIPs": ["10.96.254.2", "fd00:10:96::fe02"]}
    rival["spec"]["externalIPs"] = [*older["spec"]["externalIPs"], "203.0.113.9"]
    for port in rival["spec"]["ports"]:
        port["nodePort"] += 40
    slices = {
        ("EndpointSlice", "rivals", f"rival-{name}"): {
            **one,
            "metadata": {"name": f"rival-{name}", "namespace": "rivals", "labels": {"kubernetes.io/service-name": "a-rival"}},
            "endpoints": one["endpoints"][:1],
        }
        for (kind, _, name), one in web.objects.items()
        if kind == "EndpointSlice"
    }
    shared = older["spec"]["externalIPs"][0]

    def reached(address: str, servers: int = 1) -> set[str]:
        """Who answers there: in 24 attempts, or in as many as it takes to see so many servers."""
        (answers,) = web.pod.ask([{"address": address, "port": 80, "patience_s": 1, "attempts": 400, "least": 24, "enough": servers}])
        return {answer.split()[0] for answer in answers}

    with agent.running():
        agent.serves()
        everything = {**web.objects, ("Service", "rivals", "a-rival"): rival, **slices}
        api_cluster.put(everything)
        eventually(lambda: reached("10.96.254.2") == {"near1"}, within_s=60)
        assert reached("203.0.113.9") == {"near1"}
        assert reached(shared, servers=4) == {"near1", "near2", "far1", "far2"}
        events = eventually(lambda: agent.events("Quarantined", "Service"), within_s=60, every_s=0.2)
        assert [event["regarding"]["name"] for event in events] == ["a-rival"]
        assert "of port rivals/a-rival:web-tcp belongs to matrix-load-balancer/web:web-tcp, which is older" in events[0]["note"]

        api_cluster.put({key: one for key, one in everything.items() if key != SERVICE})
        eventually(lambda: reached(shared) == {"near1"}, within_s=60)


@pytest.mark.skipif(ipvs.is_there(), reason="this kernel can do every mode")
def test_a_mode_that_the_node_cannot_do_leaves_what_runs_as_it_is(agent: Agent, plane: ControlPlane, web: Web) -> None:
    with agent.running():
        agent.serves()
        order(plane, mode="ipvs")

        status, reason, message = eventually(
            lambda: agent.condition("Ready"), within_s=60, every_s=0.2, until=lambda condition: condition[1] == "ModeUnsupported"
        )
        assert status == "False"
        assert "ipvs" in message
        assert reason == "ModeUnsupported"
        assert web.served()

        order(plane)
        agent.serves()


def test_no_nft_program_is_needed(agent: Agent, web: Web) -> None:
    agent.prefix = ("/usr/bin/env", "PATH=/nonexistent")
    with agent.running():
        agent.serves()
        assert web.served()


def test_a_kernel_without_netfilter_sockets_is_named(agent: Agent, web: Web) -> None:
    agent.prefix = (sys.executable, "-m", "tests.kernel.faults.lacking", "nfnetlink")
    with agent.running():
        status, reason, message = eventually(
            lambda: agent.condition("Ready"), within_s=60, every_s=0.2, until=lambda condition: condition[1] not in ("", "Starting")
        )

    assert (status, reason) == ("False", "ModeUnsupported")
    assert "the kernel lacks netlink sockets for netfilter" in message
    assert "nfnetlink" in message
    assert not web.served()


def test_rules_of_others_stay_byte_for_byte(agent: Agent, plane: ControlPlane, world: Topology, api_cluster: Cluster, web: Web) -> None:
    node = world.node
    node.run("nft", "-f", "-", stdin=_FOREIGN)
    node.run("iptables-restore", stdin=_FOREIGN_IPTABLES)
    before = _state_of_others(world)
    with agent.running():
        agent.serves()
        assert web.served()
        api_cluster.put({})
        api_cluster.put(web.objects)
        eventually(web.served, within_s=60)
        assert _state_of_others(world) == before

        order(plane, action="Remove")
        eventually(lambda: agent.status().get("removed") == {"objects": 0}, within_s=60, every_s=0.2)
    assert agent.condition("Ready")[:2] == ("False", "Removed")
    assert node.run("nft", "list", "ruleset") == before


def _state_of_others(world: Topology) -> str:
    """Everything in nftables, with iptables' tables, but our two tables."""
    tables = world.node.run("nft", "list", "tables").splitlines()
    others = [line.split()[1:] for line in tables if line.split()[2] != "proxyconfig"]
    return "".join(world.node.run("nft", "list", "table", *table) for table in others)


_FOREIGN = """
table inet guard {
  set friends { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }
  map ports { type inet_service : verdict; elements = { 1 : drop, 2 : jump other } }
  chain other {
    ip daddr 192.0.2.77 accept comment "somebody else's"
  }
  chain input {
    type filter hook input priority 10; policy accept;
    ip saddr @friends tcp dport vmap @ports
  }
}
table ip kube-router {
  comment "rules of another program"
  chain services {
  }
}
table ip6 nat6 {
  chain post {
    type nat hook postrouting priority 101;
    ip6 saddr 2001:db8::/32 masquerade
  }
}
"""
_FOREIGN_IPTABLES = """*nat
:PREROUTING ACCEPT [0:0]
:KUBE-MARK-MASQ - [0:0]
-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 8000 -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
COMMIT
*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -s 192.0.2.9/32 -j DROP
COMMIT
"""
