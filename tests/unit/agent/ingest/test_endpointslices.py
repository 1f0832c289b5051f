from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.endpointslices import EndpointSliceParser
from proxyconfig_agent.ingest.model import EndpointSlice, Family, Protocol, SlicePort, Traits, text_of
from proxyconfig_agent.ingest.nodes import node_of, service_cidrs_of

DECODER = msgspec.json.Decoder(apitypes.EndpointSlice, strict=False)
PORTS = [{"name": "http", "port": 8080, "protocol": "TCP"}]


def ingested(
    endpoints: Any = None, ports: Any = PORTS, kind: str = "IPv4", slices: EndpointSliceParser | None = None, **metadata: Any
) -> EndpointSlice | None:
    labels = metadata.pop("labels", {"kubernetes.io/service-name": "web"})
    document = {
        "metadata": {"name": "web-1", "namespace": "shop", "labels": labels} | metadata,
        "addressType": kind,
        "endpoints": endpoints,
        "ports": ports,
    }
    return (slices or EndpointSliceParser()).slice_of(DECODER.decode(msgspec.json.encode(document)))


def taken(*endpoints: Any, **more: Any) -> EndpointSlice:
    piece = ingested(list(endpoints), **more)
    assert piece is not None
    return piece


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"kind": "FQDN"}, id="83-fqdn"),
        pytest.param({"labels": {}}, id="83-no-service-label"),
        pytest.param({"labels": None}, id="83-no-labels"),
        pytest.param({"labels": {"kubernetes.io/service-name": "web", "service.kubernetes.io/headless": ""}}, id="81-headless"),
    ],
)
def test_what_is_no_proxys_business_is_left_alone(fields: dict[str, Any]) -> None:
    assert ingested(**fields) is None


@pytest.mark.parametrize(
    ("ports", "kept"),
    [
        pytest.param(None, (), id="83-none"),
        pytest.param([{"name": "a"}, {"name": "b", "port": 0}, {"port": 80}], (), id="83-nil"),
        pytest.param([{"name": "", "port": 80}], (SlicePort("", Protocol.TCP, 80),), id="unnamed"),
        pytest.param([{"name": "d", "port": 53, "protocol": "UDP"}], (SlicePort("d", Protocol.UDP, 53),), id="udp"),
    ],
)
def test_ports_without_name_or_number_are_skipped(ports: Any, kept: tuple[SlicePort, ...]) -> None:
    piece = taken(ports=ports)
    assert (piece.ports, piece.rejected) == (kept, ())


@pytest.mark.parametrize(
    ("conditions", "traits"),
    [
        pytest.param(None, Traits(), id="defaults"),
        pytest.param({"ready": None, "serving": None, "terminating": None}, Traits(), id="nulls"),
        pytest.param({"ready": False}, Traits(ready=False), id="unready"),
        pytest.param({"ready": False, "serving": True, "terminating": True}, Traits(ready=False, terminating=True), id="draining"),
        pytest.param({"serving": False}, Traits(serving=False), id="not-serving"),
    ],
)
def test_conditions_have_their_defaults(conditions: Any, traits: Traits) -> None:
    assert taken({"addresses": ["10.0.0.1"], "conditions": conditions}).traits == (traits,)


def test_only_the_first_address_of_an_endpoint_is_used() -> None:
    piece = taken({"addresses": ["10.0.0.1", "10.0.0.2"]}, {"addresses": []}, {"addresses": None}, {"addresses": ["10.0.0.3"]})
    assert [text_of(piece.addresses[i : i + 4]) for i in (0, 4)] == ["10.0.0.1", "10.0.0.3"]  # type: ignore[arg-type]
    assert len(piece.traits) == 2


def test_hints_are_sets_of_zones_and_nodes() -> None:
    (traits,) = taken(
        {"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "a"}, {"name": "b"}], "forNodes": [{"name": "n"}]}}
    ).traits
    assert (traits.zone_hints, traits.node_hints) == (frozenset("ab"), frozenset("n"))


def test_addresses_that_cannot_be_used_are_told_and_the_others_used() -> None:
    piece = taken(
        {"addresses": ["fd00::1"]},
        {"addresses": ["x"]},
        {"addresses": ["10.0.0.1"]},
        ports=[*PORTS, {"name": "q", "port": 80, "protocol": "?"}],
    )
    assert piece.addresses == b"\x0a\0\0\1"
    assert [sentence.split(": ")[1].split(";")[0] for sentence in piece.rejected] == [
        "protocol '?' is none of TCP, UDP, SCTP",
        "'fd00::1' is not an IPv4 address",
        "'x' is not an IP address",
    ]


def test_equal_traits_are_one_object() -> None:
    slices = EndpointSliceParser()
    first, second = (taken({"addresses": [f"10.0.0.{i}"], "nodeName": "n"}, slices=slices) for i in (1, 2))
    assert first.traits[0] is second.traits[0]
    assert first.ports is second.ports


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-23T20:00:00Z", 1795464000.0),
        ("2026-11-23T20:00:00.5Z", 1795464000.5),
        ("2026-11-23T20:00:00.123456789Z", 1795464000.123456),
        ("soon", 0.0),
    ],
)
def test_the_trigger_time_is_read_and_makes_no_difference(text: str, seconds: float) -> None:
    piece = taken(annotations={"endpoints.kubernetes.io/last-change-trigger-time": text})
    assert piece.triggered_at == pytest.approx(seconds)
    assert piece == taken()


def test_row_84_an_update_of_metadata_alone_is_no_difference() -> None:
    endpoint = {"addresses": ["10.0.0.1"]}
    assert taken(endpoint, resourceVersion="1") == taken(endpoint, resourceVersion="2")


def test_ipv6_slices_are_packed() -> None:
    piece = taken({"addresses": ["fd00::1"]}, kind="IPv6")
    assert (piece.family, len(piece.addresses)) == (Family.IPV6, 16)


_text = st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["10.0.0.1", "fd00::1", "TCP", "here"]))
_hint = st.fixed_dictionaries({"name": st.text(max_size=5)})
_endpoint = st.fixed_dictionaries(
    {},
    optional={
        "addresses": st.one_of(st.none(), st.lists(_text.filter(lambda text: text is not None), max_size=2)),
        "nodeName": _text,
        "hints": st.one_of(st.none(), st.fixed_dictionaries({}, optional={"forZones": st.lists(_hint, max_size=2)})),
    },
)
_port = st.fixed_dictionaries({}, optional={"name": _text, "protocol": _text, "port": st.one_of(st.none(), st.integers(-5, 2**40))})


@given(st.lists(_endpoint, max_size=4), st.lists(_port, max_size=3), st.sampled_from(["IPv4", "IPv6"]))
def test_no_slice_can_make_it_fail_and_what_is_kept_fits_together(endpoints: Any, ports: Any, kind: str) -> None:
    piece = taken(*endpoints, ports=ports, kind=kind)
    assert len(piece.addresses) == len(piece.traits) * piece.family.size
    assert all(1 <= port.port <= 65535 for port in piece.ports)


def test_a_node_is_read_with_its_internal_addresses_first() -> None:
    source = {
        "metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "a"}},
        "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00::/64", "?"], "taints": [{"key": "x"}]},
        "status": {
            "addresses": [
                {"type": "ExternalIP", "address": "192.0.2.1"},
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "Hostname", "address": "n"},
            ]
        },
    }
    node = node_of(msgspec.convert(source, apitypes.Node))
    assert (node.zone, [text_of(each) for each in node.addresses]) == ("a", ["10.0.0.1", "192.0.2.1"])
    assert [str(network) for network in node.pod_cidrs] == ["10.1.0.0/24", "fd00::/64"]
    assert not node.deleted


_LEAVING = [
    {"metadata": {"name": "n", "deletionTimestamp": "x"}},
    {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler"}]}},
]


@pytest.mark.parametrize("source", _LEAVING)
def test_a_node_that_is_to_go_says_so(source: dict[str, Any]) -> None:
    assert node_of(msgspec.convert(source, apitypes.Node)).deleted


def test_service_cidrs_are_each_counted_once() -> None:
    sources = [
        {"metadata": {"name": n}, "spec": {"cidrs": cidrs}}
        for n, cidrs in (("a", ["fd00::/112", "10.96.0.0/16"]), ("b", ["10.96.0.0/16"]), ("c", None))
    ]
    assert [str(each) for each in service_cidrs_of(msgspec.convert(sources, list[apitypes.ServiceCIDR]))] == ["10.96.0.0/16", "fd00::/112"]
