"""The table of the proxy process: what is behind an original destination."""

from __future__ import annotations

from typing import Any

import pytest

from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Done, Incoming, Route, Update, encoded
from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import Failures
from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import Routes
from proxyconfig_agent.ingest.model import Family, Protocol

VIP, OTHER, NODE_PORT = (bytes((10, 96, 0, number, 0, 80)) for number in (1, 2, 3))
NODE_PORT = bytes((192, 168, 0, 1)) + (30080).to_bytes(2)
TCP = Protocol.TCP


def route(key: str = "live/web", *destinations: bytes, **more: Any) -> Route:
    given: dict[str, Any] = {"cluster": bytes((10, 0, 0, 1, 0, 80)), "local": b"", "serving": b"", "node_port": 0, "affinity_s": 0} | more
    return Route(key=key, family=Family.IPV4, protocol=TCP, destinations=destinations, **given)


def found(routes: Routes, destination: bytes, protocol: Protocol = TCP) -> str | None:
    port = routes.find(Family.IPV4, protocol, destination)
    return port.route.key if port is not None else None


@pytest.fixture
def routes() -> Routes:
    return Routes(lambda: 0.0)


def test_a_route_is_found_by_its_addresses_and_by_its_node_port_on_any_address(routes: Routes) -> None:
    routes.put(route("live/web", VIP, OTHER, node_port=30080))
    assert [found(routes, each) for each in (VIP, OTHER, NODE_PORT)] == ["live/web"] * 3
    assert found(routes, VIP, Protocol.UDP) is None
    assert found(routes, NODE_PORT, Protocol.UDP) is None
    assert found(routes, VIP[:4] + b"\0\1") is None


def test_an_address_passes_from_one_route_to_another_in_either_order(routes: Routes) -> None:
    routes.put(route("live/one", VIP))
    routes.put(route("live/two", VIP))
    routes.drop("live/one")
    assert found(routes, VIP) == "live/two"
    routes.put(route("live/two", OTHER))
    routes.put(route("live/one", VIP))
    assert (found(routes, VIP), found(routes, OTHER)) == ("live/one", "live/two")


def test_a_route_that_is_dropped_or_changed_leaves_nothing_behind(routes: Routes) -> None:
    routes.put(route("live/web", VIP, node_port=30080))
    before = routes.find(Family.IPV4, TCP, VIP)
    routes.put(route("live/web", OTHER))
    assert [found(routes, each) for each in (VIP, OTHER, NODE_PORT)] == [None, "live/web", None]
    assert before is not None
    assert not before.current
    routes.drop("live/web")
    routes.drop("live/web")
    assert found(routes, OTHER) is None
    assert not len(routes)


def test_clients_are_remembered_over_changes_of_a_route_while_there_is_affinity(routes: Routes) -> None:
    def chosen() -> bytes | None:
        port = routes.find(Family.IPV4, TCP, VIP)
        assert port is not None
        endpoint = port.choose("10.2.0.1", Failures(lambda: 0.0), local=False)
        assert endpoint is not None
        port.connected("10.2.0.1", endpoint)
        return endpoint

    one, two, three = (bytes((10, 0, 0, number, 0, 80)) for number in (1, 2, 3))
    routes.put(route("live/web", VIP, cluster=one + two, affinity_s=10))
    first = chosen()
    routes.put(route("live/web", VIP, cluster=one + two + three, affinity_s=20))
    assert {chosen() for _ in range(4)} == {first}
    routes.put(route("live/web", VIP, cluster=one + two))
    routes.put(route("live/web", VIP, cluster=one + two, affinity_s=10))
    assert chosen() != first


def test_messages_are_the_same_on_the_other_side_however_the_stream_is_cut() -> None:
    updates = [Update(serial=1, put=(route("live/web", VIP, node_port=1),)), Update(serial=2, drop=("live/web",), udp_idle_s=0.5)]
    stream = b"".join(map(encoded, updates))
    incoming = Incoming(Update)
    assert [update for octet in stream for update in incoming.fed(bytes((octet,)))] == updates
    assert list(Incoming(Done).fed(encoded(Done(7)))) == [Done(7)]
