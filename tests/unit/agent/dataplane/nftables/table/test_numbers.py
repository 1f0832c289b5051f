"""Ids, classes and slots: given out, kept, taken back."""

from __future__ import annotations

import pytest
from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain, pick_of
from proxyconfig_agent.dataplane.nftables.model.service_mark import IDS, LOW
from proxyconfig_agent.dataplane.nftables.table.numbers import AFFINITY_LIFE_S, Classes, ExhaustedError, Ids, Slots
from proxyconfig_agent.dataplane.tables.model.ranges import merged
from proxyconfig_agent.dataplane.tables.undo_log import UndoLog
from proxyconfig_agent.ingest.model import Network


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_released_id_is_the_last_to_be_used_again() -> None:
    ids = Ids(UndoLog(), Clock())
    first = ids.allocate()
    ids.release(first)
    assert ids.allocate() != first


def test_an_id_with_affinity_rests_for_a_day() -> None:
    clock = Clock()
    ids = Ids(UndoLog(), clock)
    taken = [ids.allocate() for _ in range(IDS - 1)]
    ids.rest(taken[5])
    with pytest.raises(ExhaustedError, match="131071 ids"):
        ids.allocate()
    clock.now = AFFINITY_LIFE_S
    assert ids.allocate() == taken[5]


def test_an_id_that_the_kernel_has_is_not_given_out() -> None:
    ids = Ids(UndoLog(), Clock())
    assert ids.claim(1)
    assert not ids.claim(1)
    assert ids.allocate() == 2


def test_a_rollback_takes_everything_back() -> None:
    journal = UndoLog()
    ids, classes = Ids(journal, Clock()), Classes(journal)
    identity = ids.allocate()
    classes.ensure([EndpointChain(3)])
    journal.rollback()
    assert classes.codes == {}
    assert classes.fresh() == {}
    assert ids.claim(identity)


def test_a_pick_brings_the_one_its_rules_fall_back_to() -> None:
    classes = Classes(UndoLog())
    classes.ensure([EndpointChain(5, local=True)])
    assert list(classes.fresh()) == [EndpointChain(1, local=True), EndpointChain(5, local=True)]


@pytest.mark.parametrize(
    "pick", [EndpointChain(1), EndpointChain(20, local=True), EndpointChain(3, affinity_s=10800), EndpointChain(4, True, 60)]
)
def test_a_pick_is_read_back_from_the_name_of_its_chain(pick: EndpointChain) -> None:
    assert pick_of(pick.chain) == pick


@pytest.mark.parametrize("chain", ["pick", "external", "pick-1-2", "sticky-pick-1", "mine"])
def test_other_chains_are_no_picks(chain: str) -> None:
    assert pick_of(chain) is None


def test_an_endpoint_keeps_its_slot_while_it_is_there() -> None:
    first = Slots().assigned([b"a", b"b"])
    second = first.assigned([b"b", b"c"])
    assert second.numbers[b"b"] == first.numbers[b"b"]
    assert second.assigned([b"a"]).numbers[b"a"] not in {first.numbers[b"a"], second.numbers[b"b"], second.numbers[b"c"]}


def test_more_endpoints_than_slots_are_refused() -> None:
    with pytest.raises(ExhaustedError, match=f"{LOW} endpoints at most"):
        Slots().assigned(number.to_bytes(4) for number in range(LOW + 1))


@pytest.mark.parametrize(
    ("networks", "intervals"),
    [
        pytest.param(["10.0.0.0/8", "10.1.0.0/16"], [("10.0.0.0", "10.255.255.255")], id="inside"),
        pytest.param(["10.0.0.0/25", "10.0.0.128/25"], [("10.0.0.0", "10.0.0.255")], id="touching"),
        pytest.param(["10.2.0.0/16", "10.0.0.0/16"], [("10.0.0.0", "10.0.255.255"), ("10.2.0.0", "10.2.255.255")], id="apart"),
        pytest.param(["fd00::/64"], [("fd00::", "fd00::ffff:ffff:ffff:ffff")], id="ipv6"),
        pytest.param([], [], id="none"),
    ],
)
def test_networks_become_intervals_that_do_not_overlap(networks: list[str], intervals: list[tuple[str, str]]) -> None:
    assert merged(map(network, networks)) == [(ip(first), ip(last)) for first, last in intervals]


def test_a_base_with_host_bits_is_masked() -> None:
    assert merged([Network(ip("10.0.0.77"), 24)]) == [(ip("10.0.0.0"), ip("10.0.0.255"))]
