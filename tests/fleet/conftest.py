"""One fleet for all tests of it. Not a part of `make test`: `make fleet`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.evidence import TESTED, ends_in_order, pytest_runtest_makereport
from tests.e2e.installed import installed
from tests.fleet import peers
from tests.fleet.fleet import NODES, ZONE_LABEL, ZONES, Fleet

__all__ = ["ends_in_order", "pytest_runtest_makereport"]  # pytest looks for them here


@pytest.fixture(scope="session")
def nodes(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """The cluster with the product and the peers, without any ProxyConfig."""
    with installed("fleet", NODES) as product:
        request.config.stash[TESTED] = product
        assert product.local is not None, "the fleet is a local cluster: unset KUBECONFIG"
        for number, node in enumerate(product.local.nodes):
            zone = "abc"[number * ZONES // NODES]
            product.kubectl("label", "node", node.name, f"{ZONE_LABEL}={zone}", "--overwrite")
        yield Fleet(product, product.local, peers.create(product))


@pytest.fixture
def fleet(nodes: Fleet) -> Fleet:
    """All nodes in nftables mode, whatever the test before did."""
    nodes.at_rest("nftables")
    return nodes
