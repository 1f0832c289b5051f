from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_api.values.cidr import Cidr, NodeAddresses


@given(st.ip_addresses(), st.data())
def test_every_network_is_parsed(address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject) -> None:
    prefix = data.draw(st.integers(min_value=0, max_value=address.max_prefixlen))
    network = ipaddress.ip_network((address, prefix), strict=False)
    cidr = Cidr.parse(f"{address}/{prefix}")
    assert (cidr.network, cidr.packed, cidr.prefix) == (network, network.network_address.packed, prefix)
    assert Cidr.parse(str(cidr)) == cidr


def test_bits_behind_the_prefix_are_cleared() -> None:
    assert str(Cidr.parse("10.1.2.3/8")) == "10.0.0.0/8"


def test_node_addresses_are_written_as_they_were_read() -> None:
    for items in (["primary"], ["10.0.0.0/8", "fd00::/64"]):
        assert NodeAddresses.parse(items).items() == items
