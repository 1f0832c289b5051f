"""Row 6: every endpoint of a list is chosen equally often, in each mode, by a statistical test that fails by chance once in 10¹² times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from tests.kernel.node.udp import Table
from tests.kernel.traffic.inprocess import Pipeline
from tests.kernel.traffic.stories import endpoint, service, slices, story, the_service
from tests.support.netns.peers import Answers, Prober
from tests.support.netns.topology import Topology

pytestmark = pytest.mark.kernel

CONNECTIONS = 4000
IMPROBABLE = 1e-12


@pytest.fixture(autouse=True)
def _no_flows_left(world: Topology) -> Iterator[None]:
    """A client has 40,000 ports: the kernel would send one that comes round again to the endpoint of before."""
    yield
    Table(world.node).empty()


def probability(counts: Counter[str], names: set[str]) -> float:
    """How probable so uneven counts are if all are equally likely: chi-square, of an even number of degrees of freedom."""
    expected = counts.total() / len(names)
    statistic = sum((counts[name] - expected) ** 2 / expected for name in names)
    degrees = len(names) - 1
    assert degrees % 2 == 0
    return math.exp(-statistic / 2) * sum((statistic / 2) ** k / math.factorial(k) for k in range(degrees // 2))


def by_name(answers: Answers) -> Counter[str]:
    counts: Counter[str] = Counter()
    for answer, count in answers.items():
        counts[answer.split()[0]] += count
    return counts


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_every_endpoint_has_an_equal_share(live: Pipeline, probers: Mapping[str, Prober], protocol: str) -> None:
    names = {"near1", "near2", "far1", "far2", "host2"}
    (objects,) = story((service(), slices(*map(endpoint, names))))
    live.apply(objects)

    flows = [
        {"address": address, "port": 80, "protocol": protocol, "attempts": CONNECTIONS, "least": CONNECTIONS}
        for address in the_service(objects)["spec"]["clusterIPs"]
    ]
    for answers in probers["client"].ask(flows):
        counts = by_name(answers)
        assert set(counts) == names
        assert probability(counts, names) > IMPROBABLE, counts


def test_endpoints_of_this_node_have_equal_shares(live: Pipeline, probers: Mapping[str, Prober]) -> None:
    names = {"near1", "near2", "host"}
    exposed = service(type="NodePort", externalTrafficPolicy="Local", internalTrafficPolicy="Local", externalIPs=["public"])
    (objects,) = story((exposed, slices(*map(endpoint, [*names, "far1", "far2"]))))
    live.apply(objects)

    spec = the_service(objects)["spec"]
    for client, addresses in (("client", spec["clusterIPs"]), ("outside", spec["externalIPs"])):
        # Of UDP every question has another port: one that was used for TCP a moment ago would find the host's last words of then.
        every = {"port": 80, "protocol": "udp", "attempts": CONNECTIONS, "least": CONNECTIONS}
        flows = [{"address": address, **every} for address in addresses]
        for answers in probers[client].ask(flows):
            counts = by_name(answers)
            assert set(counts) == names
            assert probability(counts, names) > IMPROBABLE, counts
