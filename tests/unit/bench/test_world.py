"""The world that is measured against."""

from __future__ import annotations

import ipaddress

from tests.bench import world
from tests.bench.world import ENDPOINTS, World


def addresses_in(endpoint_slice: dict[str, list[dict[str, list[str]]]]) -> list[str]:
    return [address for endpoint in endpoint_slice["endpoints"] for address in endpoint["addresses"]]


def test_growing_tells_what_is_new() -> None:
    grown = World()

    assert list(grown.grow(2)) == [0, 1]
    assert list(grown.grow(3)) == [2]


def test_an_address_stands_for_one_endpoint() -> None:
    grown = World()
    grown.grow(3000)

    assert len(grown.endpoint_addresses()) == 3000 * ENDPOINTS
    assert not grown.endpoint_addresses() & grown.cluster_ips()


def test_a_replaced_endpoint_has_an_address_that_none_ever_had() -> None:
    grown = World()
    grown.grow(1)
    before, coming = grown.endpoint_addresses(), grown.next_address

    grown.replace_endpoint(0)

    assert coming not in before
    assert coming in addresses_in(grown.endpoint_slice(0))
    assert len(grown.endpoint_addresses() & before) == ENDPOINTS - 1
    assert grown.next_address != coming


def test_every_endpoint_is_in_the_cluster_cidr() -> None:
    grown = World()
    grown.grow(20000)
    cidr = ipaddress.IPv4Network(world.CLUSTER_CIDR)

    assert ipaddress.IPv4Address(grown.addresses_of(19999)[-1]) in cidr
    assert ipaddress.IPv4Address(grown.next_address) in cidr
