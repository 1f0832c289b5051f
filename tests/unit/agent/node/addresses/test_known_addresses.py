"""A Node without addresses in its status does not close the NodePorts of a node that has them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.agent.node.test_settings import LOCAL, NODE, address, addresses, local, resolved

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.nodes import node_of
from proxyconfig_agent.node.addresses.known_addresses import KnownAddresses

REPORTED = addresses("10.0.0.5", "10.0.0.6", "fd00::5")


@pytest.fixture
def known() -> KnownAddresses:
    made = KnownAddresses()
    assert made.in_force(REPORTED, LOCAL) == (REPORTED, ())
    return made


def test_addresses_that_vanish_from_the_status_stay_in_force_and_that_is_told(known: KnownAddresses) -> None:
    kept, findings = known.in_force((), LOCAL)
    assert kept == REPORTED
    assert [finding.reason for finding in findings] == ["NodeAddressesKept"] * 2
    assert "no IPv4 address of its interfaces: 10.0.0.5, 10.0.0.6 from before stays in force" in findings[0].message
    settings, _ = resolved(node=replace(NODE, addresses=kept))
    assert settings.node_port_addresses == addresses("10.0.0.5", "fd00::5")
    assert known.in_force(REPORTED, LOCAL) == (REPORTED, ())


def test_a_family_that_vanishes_is_kept_beside_the_other(known: KnownAddresses) -> None:
    assert known.in_force(addresses("10.0.0.6"), LOCAL)[0] == addresses("10.0.0.6", "fd00::5")


def test_addresses_that_are_on_no_interface_any_more_are_not_kept_but_come_back_with_it(known: KnownAddresses) -> None:
    without = [each for each in LOCAL if each.address != address("10.0.0.5")]
    assert known.in_force((), without)[0] == addresses("10.0.0.6", "fd00::5")
    assert known.in_force((), ()) == ((), ())
    assert known.in_force((), LOCAL)[0] == REPORTED


def test_an_address_that_is_on_no_interface_yet_replaces_none_that_is(known: KnownAddresses) -> None:
    assert known.in_force(addresses("203.0.113.9"), LOCAL)[0] == REPORTED
    assert known.in_force(addresses("203.0.113.9"), local("203.0.113.9"))[0] == addresses("203.0.113.9")


def test_a_node_whose_reported_address_is_on_no_interface_keeps_to_it_from_the_start() -> None:
    known = KnownAddresses()
    assert known.in_force(addresses("203.0.113.9"), LOCAL) == (addresses("203.0.113.9"), ())
    assert known.in_force((), LOCAL) == ((), ())


def test_at_the_start_there_is_nothing_to_keep() -> None:
    assert KnownAddresses().in_force((), LOCAL) == ((), ())


def test_labels_that_nothing_depends_on_do_not_change_the_node() -> None:
    def node(**labels: str) -> apitypes.Node:
        return apitypes.Node(metadata=apitypes.FullMetadata(name="n1", labels={"topology.kubernetes.io/zone": "a", **labels}))

    assert node_of(node(team="blue")) == node_of(node(team="red"))
