"""The chosen part of the behaviour table on the real cluster, with either node as the node under test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from tests.cluster import cluster
from tests.e2e.conftest import CASES, proxy_config
from tests.e2e.installed import Installed
from tests.e2e.surroundings import lead_outside_to, nodes_of
from tests.e2e.table import CHOSEN, Judged, book_of, play
from tests.support.netns.peers import Prober
from tests.support.netns.topology import Pair
from tests.support.scenarios.apiobjects import ApiObjects
from tests.support.scenarios.apiwriter import ApiWriter

from proxyconfig_client.connection.config import from_kubeconfig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


TURNS = ((1, "nftables"), (2, "nftables"), (1, "iptables"))
"""The node under test, by number, and the mode that all nodes are in."""


@pytest.fixture(scope="module", params=TURNS, ids=[f"node-{number}-{mode}" for number, mode in TURNS])
def judged(
    request: pytest.FixtureRequest, product: Installed, local: cluster.Cluster, peers: Mapping[str, Pair], probers: Mapping[str, Prober]
) -> Iterator[Mapping[str, list[Judged]]]:
    """What became of all cases, by scenario."""
    number, mode = request.param
    product.apply(proxy_config(mode=mode, nodePorts={"addresses": ["primary"]}))
    product.ready()
    lead_outside_to(local, product, nodes_of(product)[number - 1])
    book = book_of(product, local, peers, number)
    objects = ApiObjects(ApiWriter(from_kubeconfig(product.kubeconfig)), book, [probers["client-on-1"], probers["client-on-2"]])
    names = {pod: place for place, address in book.places.items() for pod, other in peers.items() if other == address}
    try:
        yield play(book, objects, probers, names, mode)
    finally:
        product.kubectl("delete", "namespace", "--wait=true", *sorted(objects.namespaces), timeout_s=300)
        product.apply(proxy_config())
        product.ready()


@pytest.mark.parametrize("scenario", CHOSEN)
def test_traffic(judged: Mapping[str, list[Judged]], scenario: str, request: pytest.FixtureRequest) -> None:
    cases = judged[scenario]
    problems = [each.problem for each in cases if each.problem]
    request.config.stash[CASES] = request.config.stash.get(CASES, 0) + len(cases) - len(problems)

    assert cases
    assert not problems, "\n".join(problems)
