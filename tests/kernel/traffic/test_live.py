"""Rows about what changes while the rules are in use, and about time: in each of our modes, with real packets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.kernel.traffic.clusterobjects import node_object
from tests.kernel.traffic.inprocess import SERVICE_CIDRS, Pipeline
from tests.kernel.traffic.stories import Objects, endpoint, service, slices, story, the_service
from tests.support.netns.peers import Prober
from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, NODE_NAME, POD2_CIDR, POD_CIDR, PODS, PODS2, Pair, Topology
from tests.support.polling import eventually
from tests.support.scenarios.book import NETNS
from tests.support.scenarios.scenario import BEYOND, PROXIED, Object

pytestmark = pytest.mark.kernel

AFFINITY_S = 2
"""Its least time is 1 s; polling has to be slower than that."""


def reached(prober: Prober, addresses: Sequence[str], port: int = 80, **more: Any) -> list[set[str]]:
    """Who answers at each of the addresses, by the first word: a name, or REJECT, or DROP."""
    flow = {"port": port, "attempts": 48, "least": 48, **more}
    return [{answer.split()[0] for answer in answers} for answers in prober.ask([{"address": address, **flow} for address in addresses])]


def seen(prober: Prober, addresses: Sequence[str]) -> set[str]:
    """The client's addresses that the endpoints see."""
    answers = prober.ask([{"address": address, "port": 80} for address in addresses])
    return {answer.split()[1] for each in answers for answer in each}


def cluster_ips(objects: Objects) -> list[str]:
    return list(the_service(objects)["spec"]["clusterIPs"])


def node_with(zone: str = "zone-a", pods: Pair = POD_CIDR, address: Pair = NODE) -> Object:
    made = node_object(NODE_NAME, pods, address)
    if zone:
        made["metadata"]["labels"]["topology.kubernetes.io/zone"] = zone
    else:
        del made["metadata"]["labels"]["topology.kubernetes.io/zone"]
    return made


def test_row_074_a_new_zone_is_followed(live: Pipeline, probers: Mapping[str, Prober]) -> None:
    near = endpoint("near1", hints={"forZones": [{"name": "zone-a"}]})
    far = endpoint("far1", hints={"forZones": [{"name": "zone-b"}]})
    (objects,) = story((service(), slices(near, far)))
    live.apply(objects)
    addresses, pod = cluster_ips(objects), probers["client"]
    assert reached(pod, addresses) == [{"near1"}] * 2

    live.put_node(node_with(zone="zone-b"))
    assert reached(pod, addresses) == [{"far1"}] * 2

    live.put_node(node_with(zone=""))
    assert reached(pod, addresses) == [{"near1", "far1"}] * 2


def test_row_135_new_pod_networks_are_followed(live: Pipeline, probers: Mapping[str, Prober]) -> None:
    (objects,) = story((service(), slices(endpoint("near1"))))
    live.apply(objects)
    addresses = cluster_ips(objects)
    assert seen(probers["client"], addresses) <= (NETNS.masqueraded if live.mode in PROXIED else set(PODS["client"].both))
    assert seen(probers["elsewhere"], addresses) <= NETNS.masqueraded

    live.put_node(node_with(pods=POD2_CIDR))
    assert seen(probers["client"], addresses) <= NETNS.masqueraded
    assert seen(probers["elsewhere"], addresses) <= (NETNS.masqueraded if live.mode in PROXIED else set(PODS2["elsewhere"].both))


def test_row_135_a_new_primary_address_is_followed(live: Pipeline, probers: Mapping[str, Prober]) -> None:
    (objects,) = story((service(type="NodePort"), slices(endpoint("near1"))))
    live.apply(objects)
    port = the_service(objects)["spec"]["ports"][0]["nodePort"]
    assert reached(probers["outside"], (*NODE.both, *NODE_ALTERNATIVE.both), port) == [{"near1"}] * 2 + [{"REJECT"}] * 2

    live.put_node(node_with(address=NODE_ALTERNATIVE))
    assert reached(probers["outside"], (*NODE.both, *NODE_ALTERNATIVE.both), port) == [{"REJECT"}] * 2 + [{"near1"}] * 2


def test_row_143_a_new_service_network_is_served(live: Pipeline, probers: Mapping[str, Prober]) -> None:
    before, objects = story((service(), slices(endpoint("near1"))), ({**service(), "metadata": {"name": "other"}},))
    live.service_cidrs = ()
    live.configure()
    live.apply(before)
    pod, addresses = probers["client"], cluster_ips(objects)
    assert reached(pod, addresses) == [{"near1"}] * 2
    assert reached(pod, NETNS.unallocated.both) == [{BEYOND}] * 2

    live.service_cidrs = SERVICE_CIDRS
    live.configure()
    live.apply(objects)
    assert reached(pod, addresses) == [{"near1"}] * 2
    assert reached(pod, objects["Service", "live", "other"]["spec"]["clusterIPs"]) == [{"REJECT"}] * 2
    assert reached(pod, NETNS.unallocated.both, patience_s=0.5) == [{BEYOND} if live.mode == "iptables" else {"DROP"}] * 2


def test_row_089_affinity_holds_for_its_time_and_then_ends(live: Pipeline, probers: Mapping[str, Prober]) -> None:
    if live.mode == "ipvs":
        pytest.skip("IPVS remembers a client for as long as it has connections, also such as have ended lately, and the time after that")
    timed = service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": AFFINITY_S}})
    (objects,) = story((timed, slices(*map(endpoint, ("near1", "near2", "far1", "far2")))))
    live.apply(objects)
    pod = probers["client"]

    for address in cluster_ips(objects):
        first = _before_affinity_ends(pod, address)
        assert len(first[0]) == 1

        def goes_elsewhere(address: str = address, first: list[set[str]] = first) -> bool:
            return reached(pod, [address], attempts=1) != first

        # Each question renews it, so they are further apart than it lasts. The same one of four by chance, 20 times: once in 10¹².
        eventually(goes_elsewhere, within_s=20 * (AFFINITY_S + 1), every_s=AFFINITY_S + 1)


def _before_affinity_ends(pod: Prober, address: str) -> list[set[str]]:
    """Who answers to connections that follow each other faster than the affinity ends."""

    def measured() -> list[set[str]]:
        began = time.monotonic()
        answers = reached(pod, [address])
        assert time.monotonic() - began < AFFINITY_S, "too slow to tell"
        return answers

    return eventually(measured, within_s=60)


def test_row_097_a_rolling_update_behind_policy_local_loses_no_connection(live: Pipeline, probers: Mapping[str, Prober]) -> None:
    """T15: one backend per node; the old one serves while it terminates until the new one is ready, and then goes."""
    exposed = service(type="LoadBalancer", externalTrafficPolicy="Local", ingress=["balancer"])
    old, gone = endpoint("near1"), endpoint("near1", ready=False, terminating=True)
    new, elsewhere = endpoint("near2"), endpoint("far1")
    states = story(
        (exposed, slices(old, elsewhere)),
        (slices(old, endpoint("near2", ready=False), elsewhere),),
        (slices(gone, endpoint("near2", ready=False), elsewhere),),
        (slices(gone, new, elsewhere),),
        (slices(new, elsewhere),),
        (slices(new, endpoint("far1", ready=False, terminating=True)),),
        (slices(new),),
    )
    objects = next(states)
    live.apply(objects)
    addresses = [entry["ip"] for entry in the_service(objects)["status"]["loadBalancer"]["ingress"]]
    assert reached(probers["outside"], addresses) == [{"near1"}] * 2
    probers["outside"].send([{"address": address, "port": 80, "for_s": 5} for address in addresses])
    for state in states:
        live.apply(state)
        for names in reached(probers["client"], cluster_ips(state)):
            assert names.isdisjoint({"REJECT", "DROP"})

    for answers in probers["outside"].receive():
        assert {answer.split()[0] for answer in answers} <= {"near1", "near2"}
    assert reached(probers["outside"], addresses) == [{"near2"}] * 2


@contextlib.contextmanager
def on_the_node(world: Topology, addresses: Sequence[str]) -> Iterator[None]:
    """Addresses that the node's loopback interface has, as with a load balancer that delivers to them."""
    world.node.ip([f"addr add {address}/{128 if ':' in address else 32} dev lo" for address in addresses])
    try:
        yield
    finally:
        world.node.ip([f"addr del {address}/{128 if ':' in address else 32} dev lo" for address in addresses])


def test_row_017_a_node_inside_of_a_range_may_have_the_balancers_address(
    live: Pipeline, probers: Mapping[str, Prober], world: Topology
) -> None:
    inside, outside = ["192.168.50.0/24", "fd00:50::/64"], ["192.168.51.0/24", "fd00:51::/64"]
    admitted, refused = story(
        (service(type="LoadBalancer", ingress=["balancer"], loadBalancerSourceRanges=inside), slices(endpoint("near1"))),
        (service(type="LoadBalancer", ingress=["balancer"], loadBalancerSourceRanges=outside),),
    )
    addresses = [entry["ip"] for entry in the_service(admitted)["status"]["loadBalancer"]["ingress"]]
    with on_the_node(world, addresses):
        for objects, expected in ((admitted, "near1"), (refused, "DROP")):
            live.apply(objects)
            for address in addresses:
                assert reached(probers["node"], [address], source=address, patience_s=0.5) == [{expected}]
                assert reached(probers["node"], [address], source=NODE[6 if ":" in address else 4], patience_s=0.5) == [{expected}]
