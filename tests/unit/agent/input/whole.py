"""Services and EndpointSlices of the whole shape that the API server's validation accepts, from a small world so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tests.support.scenarios.scenario import Object

NAMESPACES, NAMES = ("shop", "x" * 63), ("a", "b", "c-" + "y" * 61)
CLUSTER_IPS = {"IPv4": ("10.96.0.1", "10.96.0.2", "010.096.000.003"), "IPv6": ("fd00:10:96::1", "fd00:10:96::2", "FD00:10:96::0:3")}
PUBLIC = ("192.0.2.1", "192.0.2.2", "10.96.0.2", "192.000.002.1", "2001:db8::1", "::ffff:192.0.2.1", "fd00:10:96::2", "192.168.50.1")
RANGES = (
    "10.0.0.0/8",
    " 10.1.0.0/16",
    "10.1.2.3/16",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "192.168.50.1/32",
    "255.255.255.255/32",
    "::ffff:10.0.0.0/104",
)
ENDPOINTS = {"IPv4": ("10.244.0.1", "10.244.1.1", "010.244.1.2"), "IPv6": ("fd00:244::1", "FD00:244::2"), "FQDN": ("web.example",)}
PORT_NAMES = ("", "http", "p-345678901234x")
PROTOCOLS = ("TCP", "UDP", "SCTP")
NODES, ZONES = ("here", "there", "n" * 253), ("a", "b", "z" * 63)
PORTS = (1, 80, 443, 65535)
TIMES = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "0001-01-01T00:00:00Z")

flags = st.sampled_from((None, True, False))


def some(of: tuple[Any, ...], at_most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(of), max_size=at_most)


def _without_none(fields: Object) -> Object:
    return {name: value for name, value in fields.items() if value is not None}


@st.composite
def services(draw: st.DrawFn) -> Object:
    kind = draw(st.sampled_from(("ClusterIP", "NodePort", "LoadBalancer", "ExternalName", None)))
    families = draw(st.sampled_from((("IPv4",), ("IPv6",), ("IPv4", "IPv6"), ("IPv6", "IPv4"))))
    cluster_ips = [draw(st.sampled_from(CLUSTER_IPS[family])) for family in families]
    if draw(st.integers(0, 9)) == 0:
        cluster_ips = ["None"]
    labels = draw(st.sampled_from((None, {}, {"service.kubernetes.io/service-proxy-name": ""}))) if draw(st.booleans()) else None
    spec: Object = {
        "type": kind,
        "clusterIP": cluster_ips[0],
        "clusterIPs": draw(st.sampled_from((cluster_ips, None))),
        "ports": draw(st.one_of(st.none(), _ports(node_ports=kind in ("NodePort", "LoadBalancer")))),
        "externalIPs": draw(some(PUBLIC)),
        "loadBalancerSourceRanges": draw(some(RANGES, 9)),
        "internalTrafficPolicy": draw(st.sampled_from((None, "Cluster", "Local"))),
        "externalTrafficPolicy": draw(st.sampled_from((None, "Cluster", "Local"))),
        "healthCheckNodePort": draw(st.sampled_from((None, 0, 30009))),
        "sessionAffinity": draw(st.sampled_from((None, "None", "ClientIP"))),
        "sessionAffinityConfig": draw(
            st.sampled_from((None, {"clientIP": {"timeoutSeconds": 86400}}, {"clientIP": {"timeoutSeconds": 1}}, {"clientIP": {}}))
        ),
        "publishNotReadyAddresses": draw(flags),
        "trafficDistribution": draw(st.sampled_from((None, "PreferClose", "PreferSameNode"))),
    }
    ingress = [
        _without_none({"ip": address, "hostname": "lb.example", "ipMode": draw(st.sampled_from((None, "VIP", "Proxy")))})
        for address in draw(some((*PUBLIC, None, "")))
    ]
    name, namespace = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMESPACES))
    created = draw(st.sampled_from(TIMES))
    metadata = _without_none(
        {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "labels": labels, "creationTimestamp": created}
    )
    return {"kind": "Service", "metadata": metadata, "spec": _without_none(spec), "status": {"loadBalancer": {"ingress": ingress}}}


def _ports(*, node_ports: bool) -> st.SearchStrategy[list[Object]]:
    """Unique by name and by number and protocol, as validation wants it."""
    one = st.fixed_dictionaries(
        {"name": st.sampled_from(PORT_NAMES), "protocol": st.sampled_from(PROTOCOLS), "port": st.sampled_from(PORTS)},
        optional={
            "appProtocol": st.just("kubernetes.io/h2c"),
            "targetPort": st.sampled_from((8080, "web")),
            **({"nodePort": st.sampled_from((0, 30001, 30002))} if node_ports else {}),
        },
    )
    return st.lists(one, max_size=3, unique_by=(lambda port: port["name"], lambda port: (port["port"], port["protocol"])))


@st.composite
def slices(draw: st.DrawFn) -> Object:
    kind = draw(st.sampled_from(("IPv4", "IPv4", "IPv6", "FQDN")))
    labels = {"kubernetes.io/service-name": draw(st.sampled_from((*NAMES, "", "unknown")))}
    if draw(st.integers(0, 9)) == 0:
        labels["service.kubernetes.io/headless"] = ""
    trigger = draw(st.sampled_from((None, "2026-01-01T00:00:00Z", "not a time", "9999-12-31T23:59:59.999999999+14:00")))
    annotations = {"endpoints.kubernetes.io/last-change-trigger-time": trigger} if trigger else None
    metadata = {"name": draw(st.sampled_from(("s1", "s2", "s3"))), "namespace": draw(st.sampled_from(NAMESPACES)), "labels": labels}
    if annotations:
        metadata["annotations"] = annotations
    endpoint = st.fixed_dictionaries(
        {"addresses": st.lists(st.sampled_from(ENDPOINTS[kind]), min_size=1, max_size=2)},
        optional={
            "conditions": st.fixed_dictionaries({}, optional={"ready": flags, "serving": flags, "terminating": flags}),
            "nodeName": st.sampled_from(NODES),
            "zone": st.sampled_from(ZONES),
            "hints": st.fixed_dictionaries({}, optional={"forZones": _named(ZONES), "forNodes": _named(NODES)}),
        },
    )
    port = st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from((None, *PORT_NAMES)),
            "protocol": st.sampled_from((None, *PROTOCOLS)),
            "port": st.sampled_from((None, *PORTS)),
        },
    )
    ports, endpoints = draw(st.lists(port, max_size=3)), draw(st.lists(endpoint, max_size=4))
    return {
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": kind,
        "endpoints": endpoints,
        "ports": draw(st.sampled_from((ports, None))),
    }


def _named(names: tuple[str, ...]) -> st.SearchStrategy[list[Object]]:
    return some(names, 2).map(lambda chosen: [{"name": name} for name in chosen])
