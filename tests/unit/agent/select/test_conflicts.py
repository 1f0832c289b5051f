"""Which of several Services gets what all of them ask for."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.agent.examples import NODE, ip, service

from proxyconfig_agent.ingest.model import Policy, Protocol, Service, ServicePort
from proxyconfig_agent.select.conflicts import AddressConflicts
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.select.healthchecks import HealthCheck, health_checks
from proxyconfig_agent.select.select import select

OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
VIP = (ip("192.0.2.1"),)


def granted(claims: AddressConflicts, one: Service) -> tuple[Frontends, ...]:
    return claims.granted(select(one, (), NODE))


def put(*services: Service) -> AddressConflicts:
    claims = AddressConflicts()
    for one in services:
        claims.change(None, one)
    return claims


def balanced(name: str, cluster_ip: str, **fields: Any) -> Service:
    return service(name, cluster_ip, **({"load_balancer_ips": VIP, "created": OLD} | fields))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_oldest_has_it_whoever_comes_first(order: tuple[int, ...]) -> None:
    services = [balanced("b", "10.96.0.2"), balanced("a", "10.96.0.1", created=YOUNG), balanced("c", "10.96.0.3")]
    claims = put(*(services[number] for number in order))
    assert [granted(claims, one)[0].load_balancer_ips for one in services] == [VIP, (), ()]
    assert claims.sentences(services[0]) == []
    (sentence,) = claims.sentences(services[2])
    assert sentence == (
        "status.loadBalancer.ingress: 192.0.2.1 port 80/TCP of port shop/c:http belongs to shop/b:http, which is older; "
        "it is not served: choose another"
    )


def test_what_nobody_contests_is_served() -> None:
    first = balanced("first", "10.96.0.1", external_ips=(ip("192.0.2.7"),))
    second = balanced("second", "10.96.0.2", created=YOUNG, external_ips=(ip("192.0.2.8"),))
    (frontends,) = granted(put(first, second), second)
    assert (frontends.cluster_ip, frontends.external_ips, frontends.load_balancer_ips) == (ip("10.96.0.2"), (ip("192.0.2.8"),), ())


def with_health_checks(created: str) -> Service:
    return balanced(
        "first", "10.96.0.1", created=created, external_policy=Policy.LOCAL, externally_accessible=True, health_check_node_port=30073
    )


def with_node_port(created: str, protocol: Protocol = Protocol.TCP) -> Service:
    ports = (ServicePort("web", protocol, 80, 30073),)
    return service("second", "10.96.0.2", ports=ports, created=created, externally_accessible=True)


def answered(claims: AddressConflicts, one: Service) -> list[int]:
    return [check.port for check in claims.answered(health_checks(one, (), NODE))]


def test_a_node_port_that_is_an_older_services_health_check_node_port_is_not_served() -> None:
    first, second = with_health_checks(OLD), with_node_port(YOUNG)
    claims = put(first, second)
    assert answered(claims, first) == [30073]
    assert granted(claims, second)[0].node_port == 0
    assert claims.sentences(first) == []
    (sentence,) = claims.sentences(second)
    assert sentence == (
        "spec.ports: node port 30073/TCP of port shop/second:web belongs to the health checks of shop/first, which is older; "
        "it is not served: choose another"
    )


def test_health_checks_on_an_older_services_node_port_are_not_answered() -> None:
    first, second = with_health_checks(YOUNG), with_node_port(OLD)
    claims = put(first, second)
    assert answered(claims, first) == []
    assert granted(claims, second)[0].node_port == 30073
    (sentence,) = claims.sentences(first)
    assert sentence == (
        "spec.healthCheckNodePort: node port 30073 belongs to shop/second:web, which is older; "
        "health checks are not answered: choose another"
    )
    assert claims.change(second, None) == {first.name}
    assert answered(claims, first) == [30073]
    assert claims.sentences(first) == []


def test_health_checks_are_tcp() -> None:
    first, second = with_health_checks(OLD), with_node_port(YOUNG, Protocol.UDP)
    claims = put(first, second)
    assert (answered(claims, first), granted(claims, second)[0].node_port) == ([30073], 30073)


def test_a_cluster_ip_is_its_services_and_not_that_of_an_older_one_that_wants_it_as_external_ip() -> None:
    thief = service("thief", "10.96.0.1", created=OLD, external_ips=(ip("10.96.0.2"),))
    victim = service("victim", "10.96.0.2", created=YOUNG)
    claims = put(thief, victim)
    assert granted(claims, victim)[0].cluster_ip == ip("10.96.0.2")
    assert granted(claims, thief)[0].external_ips == ()
    assert "shop/victim:http, whose cluster IP it is" in claims.sentences(thief)[0]


def test_a_node_port_is_contested_per_protocol_and_family() -> None:
    def at(name: str, cluster_ip: str, protocol: Protocol, created: str) -> Service:
        return service(name, cluster_ip, ports=(ServicePort("http", protocol, 80, 30080),), created=created)

    four, again = at("four", "10.96.0.1", Protocol.TCP, OLD), at("again", "10.96.0.2", Protocol.TCP, YOUNG)
    six, udp = at("six", "fd00::1", Protocol.TCP, YOUNG), at("udp", "10.96.0.3", Protocol.UDP, YOUNG)
    claims = put(four, again, six, udp)
    assert [granted(claims, one)[0].node_port for one in (four, again, six, udp)] == [30080, 0, 30080, 30080]
    assert claims.sentences(again)[0].startswith("spec.ports: node port 30080/TCP of port shop/again:http belongs to shop/four:http")


def test_a_change_names_the_others_that_win_or_lose_by_it() -> None:
    claims, old, young = AddressConflicts(), balanced("old", "10.96.0.1"), balanced("young", "10.96.0.2", created=YOUNG)
    assert claims.change(None, young) == set()
    assert claims.change(None, old) == {young.name}
    moved = balanced("old", "10.96.0.1", load_balancer_ips=())
    assert claims.change(old, moved) == {young.name}
    assert granted(claims, young)[0].load_balancer_ips == VIP
    assert claims.change(moved, None) == set()


ADDRESSES = [ip(text) for text in ("10.96.0.1", "10.96.0.2", "192.0.2.1", "192.0.2.2")]


@st.composite
def any_service(draw: st.DrawFn) -> Service:
    ports = draw(
        st.lists(
            st.builds(ServicePort, st.sampled_from("ab"), st.just(Protocol.TCP), st.sampled_from([80, 81]), st.sampled_from([0, 30001]))
        )
    )
    unique = {
        port.port: port for port in {port.name: port for port in {port.node_port or -port.port: port for port in ports}.values()}.values()
    }
    return service(
        draw(st.sampled_from("xyz")),
        draw(st.sampled_from(["10.96.0.1", "10.96.0.2"])),
        ports=tuple(unique.values()),
        external_ips=tuple(draw(st.lists(st.sampled_from(ADDRESSES), unique=True))),
        load_balancer_ips=tuple(draw(st.lists(st.sampled_from(ADDRESSES), unique=True))),
        health_check_node_port=0 if any(port.node_port for port in unique.values()) else draw(st.sampled_from([0, 30001])),
        created=draw(st.sampled_from([OLD, YOUNG])),
    )


@settings(max_examples=300)
@given(st.lists(st.tuples(any_service(), st.booleans()), max_size=12))
def test_whatever_comes_and_goes_everything_belongs_to_exactly_one_and_history_does_not_matter(changes: list[tuple[Service, bool]]) -> None:
    claims, there = AddressConflicts(), dict[str, Service]()
    for one, gone in changes:
        before = there.pop(one.name.name, None)
        claims.change(before, None if gone else one)
        if not gone:
            there[one.name.name] = one
    fresh = put(*there.values())
    owned, asked = set[object](), set[object]()
    for one in there.values():
        frontends = granted(claims, one)
        assert frontends == granted(fresh, one)
        assert sorted(claims.sentences(one)) == sorted(fresh.sentences(one))
        checks = health_checks(one, (), NODE)
        answering = set(map(check_key, claims.answered(checks)))
        assert not answering & owned
        owned |= answering
        asked |= set(map(check_key, checks))
        for port in frontends:
            mine = set(keys(port))
            assert not mine & owned
            owned |= mine
        asked |= {key for port in select(one, (), NODE) for key in keys(port)}
    assert owned == asked
    assert bool(there) or claims.__dict__ == AddressConflicts().__dict__


def check_key(check: HealthCheck) -> object:
    return (check.family, Protocol.TCP, check.port)


def keys(frontends: Frontends) -> list[object]:
    addresses = (frontends.cluster_ip, *frontends.external_ips, *frontends.load_balancer_ips)
    found: list[object] = [(address, frontends.name.protocol, frontends.port) for address in addresses if address]
    return found + ([(frontends.family, frontends.name.protocol, frontends.node_port)] if frontends.node_port else [])
