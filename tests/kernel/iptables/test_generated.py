"""What is drawn for the comparison has every field in it that a proxy looks at, each in several Services."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.kernel.iptables.generated import HEADLESS, OTHER_PROXY, Generator
from tests.kernel.iptables.test_comparison import CHANGES, ENDPOINTS, MANY, SERVICES
from tests.support.scenarios.objects import SERVICE_LABEL
from tests.support.scenarios.scenario import Object

EXPECTED = {
    *(f"type {type_}" for type_ in ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")),
    *(f"protocol {protocol}" for protocol in ("TCP", "UDP", "SCTP")),
    *(f"{policy} {value}" for policy in ("internalTrafficPolicy", "externalTrafficPolicy") for value in ("Cluster", "Local")),
    *(f"families {families}" for families in ("IPv4", "IPv6", "IPv4,IPv6", "IPv6,IPv4")),
    *(f"ingress {mode}" for mode in ("VIP", "Proxy", "no mode", "host name", "IPv4", "IPv6")),
    *(f"range {kind}" for kind in ("IPv4", "IPv6", "everybody", "blanks", "leading zeros", "with the node")),
    *(
        f"ready={ready} serving={serving} terminating={terminating}"
        for ready, serving, terminating in (
            (None, None, None),
            (True, None, None),
            (True, True, False),
            (False, None, None),
            (False, False, None),
            (False, True, True),
            (False, False, True),
            (True, True, True),
        )
    ),
    *(f"endpoint {where}" for where in ("here", "elsewhere", "anywhere", "with zone hint", "with node hint", "with leading zeros")),
    *(f"slices {kind}" for kind in ("none", "one", "several", "FQDN", "headless", "without port number")),
    *(f"ports {kind}" for kind in ("unnamed", "named", "several", "of one number")),
    *("affinity", "external IP IPv4", "external IP IPv6", "external IP with leading zeros", "health check node port", "headless"),
    *("another proxy's", "no node ports of a load balancer", "an endpoint in two slices", "several numbers of a port"),
}
"""Every kind of thing that is to be there."""


def test_every_field_is_drawn_several_times() -> None:
    drawn = Generator(seed=4)
    drawn.add(SERVICES)
    before = Counter(itertools.chain.from_iterable(map(set, _all_kinds(drawn))))
    assert {kind: before[kind] for kind in EXPECTED if before[kind] < 3} == {}
    assert set(before) == EXPECTED


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_a_large_cluster_has_more_than_a_thousand_endpoints(family: str) -> None:
    drawn = Generator(seed=5, endpoints=ENDPOINTS)
    drawn.add(MANY)
    slices = [one for (kind, _, _), one in drawn.objects().items() if kind == "EndpointSlice" and one["addressType"] == family]
    assert sum(len(one["endpoints"]) for one in slices) > 1000


def test_what_is_drawn_is_the_same_every_time() -> None:
    first, second = Generator(seed=4), Generator(seed=4)
    for one in (first, second):
        one.add(50)
        one.change(20)
    assert first.objects() == second.objects()


def test_changes_are_of_every_kind() -> None:
    drawn = Generator(seed=4)
    drawn.add(SERVICES)
    before = drawn.objects()
    drawn.change(CHANGES)
    after = drawn.objects()
    services = [key for key in before if key[0] == "Service"]
    changed = [(before[key], after[key]) for key in services if key in after and before[key] != after[key]]
    assert len(services) - sum(key in after for key in services) == CHANGES // 10
    assert any(old["spec"]["type"] != new["spec"]["type"] for old, new in changed)
    assert any(old["metadata"]["labels"] != new["metadata"]["labels"] for old, new in changed)
    assert any(old["spec"].get("internalTrafficPolicy") != new["spec"].get("internalTrafficPolicy") for old, new in changed)
    assert any([port["name"] for port in old["spec"]["ports"]] != [port["name"] for port in new["spec"]["ports"]] for old, new in changed)
    assert any(key[0] == "EndpointSlice" and before[key]["endpoints"] != after[key]["endpoints"] for key in before if key in after)


def _all_kinds(drawn: Generator) -> Iterator[Iterator[str]]:
    """The kinds of things in each Service with its slices."""
    objects = drawn.objects()
    for (kind, namespace, name), one in objects.items():
        if kind == "Service":
            slices = [
                other
                for (kind, where, _), other in objects.items()
                if kind == "EndpointSlice" and where == namespace and other["metadata"]["labels"][SERVICE_LABEL] == name
            ]
            yield itertools.chain(_service_kinds(one), _slice_kinds(slices))


def _service_kinds(one: Object) -> Iterator[str]:
    spec = one["spec"]
    yield f"type {spec['type']}"
    yield from (f"protocol {port['protocol']}" for port in spec["ports"])
    yield from (f"{key} {spec[key]}" for key in ("internalTrafficPolicy", "externalTrafficPolicy") if key in spec)
    yield from (f"families {','.join(spec[key])}" for key in ("ipFamilies",) if key in spec)
    yield from ("ports unnamed" if not port["name"] else "ports named" for port in spec["ports"])
    numbers = [port["port"] for port in spec["ports"]]
    yield from ["ports several"] * (len(numbers) > 1) + ["ports of one number"] * (len(numbers) > len(set(numbers)))
    yield from (kind for kind, there in _presence(one).items() if there)
    for text in spec.get("externalIPs", ()):
        yield f"external IP {_family(text)}"
        yield from ["external IP with leading zeros"] * (".0" in text.replace(".0.", "."))
    for entry in one.get("status", {}).get("loadBalancer", {}).get("ingress", ()):
        yield f"ingress {_family(entry['ip'])}" if "ip" in entry else "ingress host name"
        yield from [f"ingress {entry.get('ipMode', 'no mode')}"] * ("ip" in entry)
    yield from itertools.chain.from_iterable(map(_range_kinds, spec.get("loadBalancerSourceRanges", ())))


def _presence(one: Object) -> dict[str, bool]:
    spec = one["spec"]
    return {
        "affinity": "sessionAffinity" in spec,
        "health check node port": "healthCheckNodePort" in spec,
        "headless": spec.get("clusterIP") == "None",
        "another proxy's": OTHER_PROXY in one["metadata"]["labels"],
        "no node ports of a load balancer": spec.get("allocateLoadBalancerNodePorts") is False,
    }


def _range_kinds(text: str) -> Iterator[str]:
    yield f"range {_family(text)}"
    yield from ["range everybody"] * text.endswith("/0")
    yield from ["range blanks"] * (text != text.strip())
    yield from ["range leading zeros"] * (".0" in text and "0/0" not in text and any(len(o) == 3 and o[0] == "0" for o in text.split(".")))
    yield from ["range with the node"] * (text in ("192.168.50.0/24", "fd00:50::/64"))


def _slice_kinds(slices: list[Object]) -> Iterator[str]:
    usual = [one for one in slices if one["addressType"] != "FQDN"]
    yield from ["slices FQDN"] * (len(usual) < len(slices))
    for family in ("IPv4", "IPv6"):
        own = [one for one in usual if one["addressType"] == family]
        yield f"slices {('none', 'one', 'several')[min(len(own), 2)]}"
        addresses = [endpoint["addresses"][0] for one in own for endpoint in one["endpoints"]]
        yield from ["an endpoint in two slices"] * (len(addresses) > len(set(addresses)))
        named = {(port["name"], port["protocol"], port.get("port")) for one in own for port in one["ports"]}
        yield from ["several numbers of a port"] * (len(named) > len({key[:2] for key in named}))
    for one in usual:
        yield from ["slices headless"] * (HEADLESS in one["metadata"]["labels"])
        yield from ["slices without port number" for port in one["ports"] if "port" not in port]
        yield from itertools.chain.from_iterable(map(_endpoint_kinds, one["endpoints"]))


def _endpoint_kinds(endpoint: Object) -> Iterator[str]:
    ready, serving, terminating = (endpoint["conditions"].get(key) for key in ("ready", "serving", "terminating"))
    yield f"ready={ready} serving={serving} terminating={terminating}"
    node = endpoint.get("nodeName")
    yield f"endpoint {'anywhere' if node is None else 'here' if node == 'node-under-test' else 'elsewhere'}"
    yield from ["endpoint with zone hint"] * ("forZones" in endpoint.get("hints", {}))
    yield from ["endpoint with node hint"] * ("forNodes" in endpoint.get("hints", {}))
    yield from ["endpoint with leading zeros"] * endpoint["addresses"][0].startswith("010.")


def _family(text: str) -> str:
    return "IPv6" if ":" in text else "IPv4"
