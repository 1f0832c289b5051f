from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.model import Policy, Protocol, Service, ServicePort, text_of
from proxyconfig_agent.ingest.services import service_of

DECODER = msgspec.json.Decoder(apitypes.Service, strict=False)


def ingested(spec: dict[str, Any], ingress: Any = None, labels: Any = None, annotations: Any = None) -> Service | None:
    """A Service with a ClusterIP and these fields, the way it comes from the API."""
    document = {
        "apiVersion": "v1",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u",
            "labels": labels,
            "annotations": annotations,
            "creationTimestamp": None,
        },
        "spec": {"clusterIP": "10.96.0.1", "type": "ClusterIP"} | spec,
        "status": {"loadBalancer": {"ingress": ingress}},
    }
    return service_of(DECODER.decode(msgspec.json.encode(document)))


def served(spec: dict[str, Any], **more: Any) -> Service:
    service = ingested(spec, **more)
    assert service is not None
    return service


def texts(addresses: Any) -> list[str]:
    return [text_of(address) for address in addresses]


@pytest.mark.parametrize(
    ("annotations", "scheduler"), [(None, ""), ({"proxyconfig.dev/ipvs-scheduler": "mh"}, "mh"), ({"other": "lc"}, "")]
)
def test_an_annotation_is_the_scheduler_of_ipvs_mode(annotations: dict[str, str] | None, scheduler: str) -> None:
    service = served({}, annotations=annotations)
    assert (service.scheduler, service.rejected) == (scheduler, ())


def test_a_scheduler_that_linux_does_not_have_is_told_and_not_used() -> None:
    service = served({}, annotations={"proxyconfig.dev/ipvs-scheduler": "fastest"})
    assert service.scheduler == ""
    (sentence,) = service.rejected
    assert sentence.startswith("metadata.annotations[proxyconfig.dev/ipvs-scheduler]: ")
    assert "fastest" in sentence
    assert sentence.endswith("the ProxyConfig's is used: correct it")


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        pytest.param({"clusterIP": "None"}, None, id="77-headless"),
        pytest.param({"clusterIP": ""}, None, id="77-no-address-yet"),
        pytest.param({"clusterIP": None}, None, id="77-null"),
        pytest.param({"type": "ExternalName"}, None, id="77-external-name-with-address"),
        pytest.param({}, {"service.kubernetes.io/service-proxy-name": "other"}, id="80-another-proxys"),
        pytest.param({}, {"service.kubernetes.io/service-proxy-name": ""}, id="80-another-proxys-without-name"),
    ],
)
def test_what_is_not_ours_is_left_alone(spec: dict[str, Any], labels: dict[str, str] | None) -> None:
    assert ingested(spec, labels=labels) is None


def test_ports_have_their_defaults() -> None:
    service = served({"ports": [{"port": 80, "targetPort": "x"}, {"name": "u", "port": 53, "protocol": "UDP", "nodePort": 30053}]})
    assert service.ports == (ServicePort("", Protocol.TCP, 80), ServicePort("u", Protocol.UDP, 53, 30053))
    assert service.rejected == ()


@pytest.mark.parametrize(
    ("spec", "accessible", "policy"),
    [
        pytest.param({}, False, Policy.CLUSTER, id="cluster-ip"),
        pytest.param({"externalTrafficPolicy": "Local"}, False, Policy.LOCAL, id="72-policy-alone"),
        pytest.param({"externalIPs": ["192.0.2.1"]}, True, Policy.CLUSTER, id="external-ips"),
        pytest.param({"type": "NodePort", "externalTrafficPolicy": "Local"}, True, Policy.LOCAL, id="node-port"),
        pytest.param({"type": "LoadBalancer"}, True, Policy.CLUSTER, id="load-balancer"),
    ],
)
def test_what_is_accessible_from_outside_is_told_by_the_spec(spec: dict[str, Any], accessible: bool, policy: Policy) -> None:
    service = served(spec)
    assert (service.externally_accessible, service.external_policy) == (accessible, policy)


def test_an_address_that_a_former_load_balancer_keeps_in_its_status_is_accessible_from_outside() -> None:
    service = served({"type": "ClusterIP", "internalTrafficPolicy": "Local"}, ingress=[{"ip": "192.0.2.1"}])
    assert service.externally_accessible


def test_row_22_only_ingress_addresses_that_reach_the_node_count() -> None:
    ingress = [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "VIP"}, {"ip": "192.0.2.3", "ipMode": "Proxy"}, {"hostname": "lb"}]
    assert texts(served({"type": "LoadBalancer"}, ingress=ingress).load_balancer_ips) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("ranges", "kept"),
    [
        pytest.param([" 203.0.113.000/025", "198.51.100.0/24 "], ["203.0.113.0/25", "198.51.100.0/24"], id="18-normalised"),
        pytest.param(["203.0.113.0/24", "0.0.0.0/0"], [], id="19-everybody"),
        pytest.param(["203.0.113.0/24", "::/0", "fd00::/64"], ["203.0.113.0/24"], id="19-everybody-of-one-family"),
    ],
)
def test_source_ranges(ranges: list[str], kept: list[str]) -> None:
    assert [str(network) for network in served({"loadBalancerSourceRanges": ranges}).source_ranges] == kept


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        pytest.param({}, 0, id="none"),
        pytest.param({"sessionAffinity": "ClientIP"}, 10800, id="default"),
        pytest.param({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 7}}}, 7, id="set"),
    ],
)
def test_session_affinity(spec: dict[str, Any], seconds: int) -> None:
    assert served(spec).affinity_s == seconds


def test_the_health_check_node_port_is_only_for_local_load_balancers() -> None:
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000}
    assert served(local).health_check_node_port == 31000
    assert served(local | {"type": "NodePort"}).health_check_node_port == 0


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({"clusterIPs": ["10.96.0.1", "garbage"]}, "spec.clusterIPs: 'garbage' is not an IP address", id="cluster-ip"),
        pytest.param({"clusterIPs": ["10.96.0.1", "10.96.0.2"]}, "10.96.0.2 is a second address of its family", id="two-of-a-family"),
        pytest.param({"externalIPs": ["2001:db8::1"]}, "2001:db8::1 is IPv6, but the Service has no IPv6 cluster IP", id="wrong-family"),
        pytest.param({"externalIPs": ["1.2.3"]}, "spec.externalIPs: '1.2.3' is not an IP address", id="external-ip"),
        pytest.param({"loadBalancerSourceRanges": ["10.0.0.0/40"]}, "'10.0.0.0/40' is not a CIDR", id="source-range"),
        pytest.param(
            {
                "type": "LoadBalancer",
                "externalTrafficPolicy": "Local",
                "healthCheckNodePort": 31000,
                "ports": [{"port": 80, "nodePort": 31000}],
            },
            "spec.healthCheckNodePort: 31000 is also the node port of one of its ports; health checks are not answered: correct it",
            id="health-check-node-port-of-its-own",
        ),
        pytest.param({"ports": [{"port": 0}]}, r"spec.ports\[0\]: port 0 is outside", id="port"),
        pytest.param({"ports": [{"port": 80, "nodePort": 70000}]}, "port 70000 is outside", id="node-port"),
        pytest.param({"ports": [{"port": 80, "protocol": "DCCP"}]}, "protocol 'DCCP' is none of TCP, UDP, SCTP", id="protocol"),
        pytest.param({"ports": [{"port": 80}, {"port": 81}]}, "another port has the name ''", id="duplicate-name"),
    ],
)
def test_what_cannot_be_served_is_told_and_the_rest_is_served(spec: dict[str, Any], sentence: str) -> None:
    service = served(spec)
    assert texts(service.cluster_ips) == ["10.96.0.1"]
    assert len(service.rejected) == 1
    assert re.search(sentence, service.rejected[0])


def test_metadata_alone_makes_no_difference() -> None:
    assert served({}, labels={"a": "b"}) == served({}, labels={"a": "c"})


_text = st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["10.96.0.1", "fd00::1", "None", "Local", "10.0.0.0/8", "TCP"]))
_number = st.one_of(st.none(), st.integers(-(2**40), 2**40))
_texts = st.one_of(st.none(), st.lists(_text.filter(lambda text: text is not None), max_size=3))
_port = st.fixed_dictionaries({"port": st.integers(-5, 70000)}, optional={"nodePort": _number, "name": _text, "protocol": _text})


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "clusterIP": _text,
            "clusterIPs": _texts,
            "externalIPs": _texts,
            "loadBalancerSourceRanges": _texts,
            "type": _text,
            "sessionAffinity": _text,
            "healthCheckNodePort": _number,
            "ports": st.lists(_port, max_size=3),
        },
    )
)
def test_no_service_can_make_it_fail(spec: dict[str, Any]) -> None:
    ingested(spec)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": -5}}},
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: -5 is outside of 1–86400; 10800 is used: correct it",
            id="affinity",
        ),
        pytest.param(
            {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": "9" * 25},
            "spec.healthCheckNodePort: port of more than 20 digits is outside of 1–65535; health checks are not answered: correct it",
            id="health-check-node-port",
        ),
        pytest.param(
            {"externalIPs": ["x\n" * 5000]},
            "spec.externalIPs: '" + r"x\n" * 40 + "…' is not an IP address; it is not served: correct or remove it",
            id="long-text",
        ),
    ],
)
def test_a_value_that_is_absurd_becomes_a_short_sentence(spec: dict[str, Any], sentence: str) -> None:
    assert served(spec).rejected == (sentence,)


def test_of_many_bad_parts_a_few_are_told() -> None:
    service = served({"externalIPs": [f"bad-{number}" for number in range(2000)]})
    assert service.rejected[3:] == ("and 1997 more such parts",)
