"""The chosen part of the behaviour table on the real cluster, with either node as the node under test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from tests.e2e.conftest import CASES, told_outside
from tests.e2e.site import NodeAddress, Site
from tests.e2e.table import CHOSEN, Judged, book_of, play
from tests.netns.peers import Prober
from tests.netns.topology import Pair
from tests.scenarios.apiobjects import ApiObjects

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=[1, 2], ids=["first-node", "second-node"])
def judged(
    request: pytest.FixtureRequest, site: Site, nodes: list[NodeAddress], peers: Mapping[str, Pair], probers: Mapping[str, Prober]
) -> Iterator[Mapping[str, list[Judged]]]:
    """What became of all cases, by scenario."""
    if site.local is None:
        pytest.skip("the addresses of scenarios are routed on local clusters only")
    told_outside(site, nodes[request.param - 1])
    book = book_of(site, peers, nodes, request.param)
    objects = ApiObjects(site.kubectl, book, [probers["client-on-1"], probers["client-on-2"]])
    names = {pod: place for place, address in book.places.items() for pod, other in peers.items() if other == address}
    try:
        yield play(book, objects, probers, names)
    finally:
        site.kubectl("delete", "namespace", "--wait=true", *sorted(objects.namespaces))


@pytest.mark.parametrize("scenario", CHOSEN)
def test_traffic(judged: Mapping[str, list[Judged]], scenario: str, request: pytest.FixtureRequest) -> None:
    cases = judged[scenario]
    problems = [each.problem for each in cases if each.problem]
    request.config.stash[CASES] = request.config.stash.get(CASES, 0) + len(cases) - len(problems)

    assert cases
    assert not problems, "\n".join(problems)
