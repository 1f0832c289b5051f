"""What is sent for a change of virtual servers, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Set

from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.dataplane.ipvs.delta import ServerDelta, delta
from proxyconfig_agent.dataplane.ipvs.model.servers import NO_LIMIT, Server, Servers, scheduling_of
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs.messages import Destination, VirtualServer

TCP = VirtualServer(Protocol.TCP, bytes((10, 96, 0, 10)), 80)
UDP = TCP._replace(protocol=Protocol.UDP)
ONE, TWO, THREE = (Destination(bytes((10, 244, 0, last)), 8080) for last in (1, 2, 3))
RR, LC, OVF = (scheduling_of(name, 0) for name in ("rr", "lc", "ovf"))
NOTHING: Mapping[VirtualServer, Set[Destination]] = {}

keys = st.sampled_from([TCP, UDP, TCP._replace(port=81), UDP._replace(port=81)])
destination_sets = st.frozensets(st.sampled_from([ONE, TWO, THREE]), min_size=1)
servers = st.dictionaries(keys, st.builds(Server, st.sampled_from([RR, LC]), destination_sets))


def server(*destinations: Destination) -> Server:
    return Server(RR, frozenset(destinations))


def test_a_new_one_is_made_before_its_destinations() -> None:
    assert delta({}, {TCP: server(ONE)}, NOTHING) == ServerDelta(made={TCP: RR}, added=[(TCP, ONE)])


def test_destinations_of_tcp_that_go_drain() -> None:
    assert delta({TCP: server(ONE, TWO)}, {TCP: server(TWO, THREE)}, NOTHING) == ServerDelta(added=[(TCP, THREE)], drained=[(TCP, ONE)])


def test_destinations_of_udp_that_serve_no_more_are_removed_at_once() -> None:
    assert delta({UDP: server(ONE, TWO)}, {UDP: server(TWO)}, NOTHING) == ServerDelta(removed=[(UDP, ONE)])
    assert delta({UDP: server(TWO)}, {UDP: server(TWO)}, {UDP: {ONE}}) == ServerDelta(removed=[(UDP, ONE)])
    assert delta({}, {UDP: server(TWO)}, {UDP: {ONE}}) == ServerDelta(changed={UDP: RR}, added=[(UDP, TWO)], removed=[(UDP, ONE)])


def test_destinations_of_udp_drain_for_as_long_as_they_serve() -> None:
    serving = Server(RR, frozenset((TWO,)), frozenset((ONE, TWO, THREE)))
    assert delta({UDP: server(ONE, TWO)}, {UDP: serving}, NOTHING) == ServerDelta(drained=[(UDP, ONE)])
    assert delta({UDP: serving}, {UDP: serving}, {UDP: {ONE}}) == ServerDelta()


def test_a_virtual_server_of_tcp_stays_until_its_destinations_are_drained() -> None:
    assert delta({TCP: server(ONE)}, {}, NOTHING) == ServerDelta(drained=[(TCP, ONE)], retired=[TCP])


def test_a_virtual_server_of_udp_goes_at_once() -> None:
    assert delta({UDP: server(ONE)}, {}, NOTHING) == ServerDelta(deleted=[UDP])


def test_a_destination_that_drains_comes_back() -> None:
    assert delta({TCP: server(TWO)}, {TCP: server(ONE, TWO)}, {TCP: {ONE}}) == ServerDelta(revived=[(TCP, ONE)])


def test_a_virtual_server_that_drains_comes_back() -> None:
    wanted = ServerDelta(changed={TCP: RR}, added=[(TCP, TWO)], revived=[(TCP, ONE)])
    assert delta({}, {TCP: server(ONE, TWO)}, {TCP: {ONE}}) == wanted


def test_another_scheduler_is_set_in_place() -> None:
    assert delta({TCP: server(ONE)}, {TCP: Server(LC, frozenset((ONE,)))}, NOTHING) == ServerDelta(changed={TCP: LC})


def test_destinations_of_ovf_have_no_limit_and_get_another_weight_with_the_scheduler() -> None:
    weights = {TCP: NO_LIMIT}
    both = Server(OVF, frozenset((ONE, TWO)))
    assert delta({}, {TCP: both}, NOTHING) == ServerDelta(made={TCP: OVF}, added=[(TCP, ONE), (TCP, TWO)], weights=weights)
    to_ovf = ServerDelta(changed={TCP: OVF}, added=[(TCP, TWO)], revived=[(TCP, ONE)], weights=weights)
    assert delta({TCP: server(ONE)}, {TCP: both}, NOTHING) == to_ovf
    away = ServerDelta(changed={TCP: RR}, revived=[(TCP, ONE)], drained=[(TCP, TWO)])
    assert delta({TCP: both}, {TCP: server(ONE)}, NOTHING) == away
    assert len(delta({TCP: both}, {TCP: both}, NOTHING)) == 0


@given(servers)
def test_nothing_is_sent_for_no_change(some: Servers) -> None:
    assert len(delta(some, some, NOTHING)) == 0


@given(servers, servers)
def test_carried_out_it_makes_the_new_of_the_old(old: Servers, new: Servers) -> None:
    kernel = {key: set(each.destinations) for key, each in old.items()}
    schedulings = {key: each.scheduling for key, each in old.items()}
    found = delta(old, new, NOTHING)

    for key, scheduling in (found.made | found.changed).items():
        kernel.setdefault(key, set())
        schedulings[key] = scheduling
    for key, destination in (*found.added, *found.revived):
        kernel[key].add(destination)
    for key, destination in (*found.drained, *found.removed):
        kernel[key].remove(destination)
    for key in (*found.retired, *found.deleted):
        del kernel[key]
        del schedulings[key]

    assert schedulings == {key: each.scheduling for key, each in new.items()}
    assert kernel == {key: set(each.destinations) for key, each in new.items()}
