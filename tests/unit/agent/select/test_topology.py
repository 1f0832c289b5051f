"""kube-proxy's table of endpoint choices; the ids are the rows of its behaviour that they hold us to."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.agent.examples import NODE, draining, ip, piece, ready, service, unready

from proxyconfig_agent.ingest.model import NodeName, Policy, Traits
from proxyconfig_agent.select.frontends import Frontends, split
from proxyconfig_agent.select.select import select

CLUSTER: dict[str, Any] = {"externally_accessible": True}
EXTERNAL_LOCAL: dict[str, Any] = {"externally_accessible": True, "external_policy": Policy.LOCAL}
INTERNAL_LOCAL: dict[str, Any] = {"internal_policy": Policy.LOCAL}
BOTH: dict[str, Any] = EXTERNAL_LOCAL | INTERNAL_LOCAL


def zone(*zones: str, node: str = "there", **fields: Any) -> Traits:
    return ready(node, zone_hints=frozenset(zones), **fields)


def to_node(*nodes: str, node: str = "there", zones: str = "") -> Traits:
    return ready(node, node_hints=frozenset(map(NodeName, nodes)), zone_hints=frozenset(zones))


def chosen(fields: dict[str, Any], endpoints: list[Traits], node_zone: str = "a") -> Frontends:
    """The frontends of a Service whose endpoints are 10.0.0.1, 10.0.0.2, … with these traits."""
    addresses = [(f"10.0.0.{index}", traits) for index, traits in enumerate(endpoints, 1)]
    (one,) = select(service(**fields), [piece(*addresses)], replace(NODE, zone=node_zone))
    return one


def numbers(one: Frontends, which: str) -> list[int]:
    """The last bytes of the addresses in a list of backends."""
    return [address[-1] for address, port in split(getattr(one, which), one.family) if port == 8080]


@pytest.mark.parametrize(
    ("fields", "endpoints", "cluster", "local", "reachable"),
    [
        pytest.param(CLUSTER, [], [], [], False, id="1-no-endpoints"),
        pytest.param(CLUSTER, [ready(), ready("here")], [1, 2], [], True, id="6-all-endpoints"),
        pytest.param(CLUSTER, [ready(), unready()], [1], [], True, id="73-unready"),
        pytest.param(CLUSTER, [ready(None, ready=False)], [], [], False, id="73-serving-but-neither-ready-nor-terminating"),
        pytest.param(CLUSTER, [draining(serving=False)], [], [], False, id="55-terminating-and-not-serving"),
        pytest.param(CLUSTER, [ready(), draining("here")], [1], [], True, id="56-ready-exist"),
        pytest.param(CLUSTER, [draining("here"), draining()], [1, 2], [], True, id="56-only-terminating"),
        pytest.param(CLUSTER, [unready("here"), draining()], [2], [], True, id="56-terminating-on-another-node"),
        pytest.param(CLUSTER, [ready(terminating=True)], [1], [], True, id="59-publish-not-ready-addresses"),
        pytest.param({}, [ready()], [1], [], True, id="47-internal-cluster"),
        pytest.param(INTERNAL_LOCAL, [ready("here"), ready()], [], [1], True, id="48-internal-local"),
        pytest.param(INTERNAL_LOCAL, [ready()], [], [], True, id="49-internal-local-without-local"),
        pytest.param(INTERNAL_LOCAL, [ready(None)], [], [], True, id="49-without-node-name-is-remote"),
        pytest.param(INTERNAL_LOCAL, [unready("here")], [], [], False, id="55-internal-local-nothing-usable"),
        pytest.param(INTERNAL_LOCAL, [draining()], [], [], True, id="71-internal-local-terminating-elsewhere"),
        pytest.param(EXTERNAL_LOCAL, [ready("here"), ready()], [1, 2], [1], True, id="35-external-local"),
        pytest.param(EXTERNAL_LOCAL, [ready("here"), draining("here")], [1], [1], True, id="52-ready-local-and-terminating"),
        pytest.param(EXTERNAL_LOCAL, [ready(), draining("here")], [1], [2], True, id="53-only-terminating-local"),
        pytest.param(EXTERNAL_LOCAL, [draining()], [1], [], True, id="54-terminating-only-elsewhere"),
        pytest.param(BOTH, [ready("here"), ready()], [1, 2], [1], True, id="42-both-local"),
        pytest.param({"external_policy": Policy.LOCAL}, [ready("here"), ready()], [1, 2], [], True, id="72-nothing-external"),
        pytest.param(CLUSTER, [zone("a"), zone("b")], [1], [], True, id="60-zone-hints"),
        pytest.param(EXTERNAL_LOCAL, [zone("a"), zone("b", node="here")], [1], [2], True, id="61-local-ignores-hints"),
        pytest.param(INTERNAL_LOCAL, [zone("b", node="here"), zone("a")], [], [1], True, id="61-internal-local-ignores-hints"),
        pytest.param(CLUSTER, [zone("b"), zone("c")], [1, 2], [], True, id="62-zone-not-covered"),
        pytest.param(CLUSTER, [zone("a"), zone("b"), unready()], [1], [], True, id="63-unready-without-hint-does-not-decide"),
        pytest.param(CLUSTER, [zone("a", ready=False), zone("b")], [2], [], True, id="63-only-unready-in-zone"),
        pytest.param(CLUSTER, [zone("a"), ready()], [1, 2], [], True, id="64-one-lacks-a-hint"),
        pytest.param(CLUSTER, [zone("a", "b"), zone("b"), zone("c", "a")], [1, 3], [], True, id="65-several-zones"),
        pytest.param(CLUSTER, [to_node("here"), to_node("there")], [1], [], True, id="66-same-node"),
        pytest.param(CLUSTER, [to_node("here", zones="b"), zone("a")], [2], [], True, id="67-some-without-node-hint-zone"),
        pytest.param(CLUSTER, [to_node("here"), ready()], [1, 2], [], True, id="67-some-without-any-hint"),
        pytest.param(CLUSTER, [to_node("x", zones="a"), to_node("y", zones="b")], [1], [], True, id="68-none-for-this-node-zone"),
        pytest.param(CLUSTER, [to_node("x"), to_node("y")], [1, 2], [], True, id="68-none-for-this-node-all"),
        pytest.param(CLUSTER, [to_node("here", node="here", zones="a"), draining("here")], [1], [], True, id="69-before-the-server-dies"),
        pytest.param(CLUSTER, [draining("here"), to_node("y", zones="a")], [2], [], True, id="69-after-the-server-died"),
        pytest.param(CLUSTER, [draining("there"), draining("here")], [1, 2], [], True, id="56-terminating-ignore-topology"),
    ],
)
def test_endpoints_are_chosen(
    fields: dict[str, Any], endpoints: list[Traits], cluster: list[int], local: list[int], reachable: bool
) -> None:
    one = chosen(fields, endpoints)
    assert (numbers(one, "cluster"), numbers(one, "local"), one.reachable) == (cluster, local, reachable)


def test_a_node_without_zone_uses_all_endpoints() -> None:
    one = chosen(CLUSTER, [zone("a"), zone("")], node_zone="")
    assert numbers(one, "cluster") == [1, 2]


def test_an_external_policy_without_external_addresses_is_cluster() -> None:
    assert chosen({"external_policy": Policy.LOCAL}, [ready()]).external_policy is Policy.CLUSTER
    assert chosen(EXTERNAL_LOCAL, [ready()]).external_policy is Policy.LOCAL


def test_own_backends_are_those_in_use_on_this_node_or_on_an_unknown_one() -> None:
    one = chosen(CLUSTER, [ready("here"), ready("there"), ready(None), draining("here")])
    assert one.on_node == (ip("10.0.0.1"), ip("10.0.0.3"))
