"""How many endpoints a load balancer sees (rows 58, 96 and 131 of kube-proxy's behaviour)."""

from __future__ import annotations

import pytest
from tests.unit.agent.examples import NODE, draining, ip, piece, ready, service, unready

from proxyconfig_agent.ingest.model import Family, Protocol, SlicePort
from proxyconfig_agent.select.healthchecks import HealthCheck, health_checks

WEB = service(health_check_node_port=30099)
HTTPS = SlicePort("https", Protocol.TCP, 8443)


def counted(*slices: object) -> list[int]:
    return [check.local_endpoints for check in health_checks(WEB, slices, NODE)]  # type: ignore[arg-type]


def test_only_services_that_have_the_port_have_a_check() -> None:
    assert health_checks(service(), [piece(("10.0.0.1", ready("here")))], NODE) == ()
    assert health_checks(WEB, [], NODE) == (HealthCheck(WEB.name, Family.IPV4, 30099, 0),)


@pytest.mark.parametrize(
    ("traits", "count"),
    [
        pytest.param(ready("here"), 1, id="ready here"),
        pytest.param(ready("there"), 0, id="ready elsewhere"),
        pytest.param(ready(None), 0, id="nobody says where"),
        pytest.param(unready("here"), 0, id="not ready"),
        pytest.param(draining("here"), 0, id="row-058: it drains, and traffic still flows"),
    ],
)
def test_row_058_and_row_096_endpoints_that_are_ready_on_this_node_count(traits: object, count: int) -> None:
    assert counted(piece(("10.0.0.1", traits))) == [count]  # type: ignore[arg-type]


def test_row_131_an_address_counts_once_whatever_its_ports_and_slices() -> None:
    both = (SlicePort("http", Protocol.TCP, 8080), HTTPS)
    slices = (
        piece(("10.0.0.1", ready("here")), ("10.0.0.2", ready("here")), ports=both),
        piece(("10.0.0.1", ready("here")), ("10.0.0.3", ready("here")), name="web-2", ports=(HTTPS,)),
    )
    assert counted(*slices) == [3]


def test_slices_without_ports_have_no_endpoints() -> None:
    assert counted(piece(("10.0.0.1", ready("here")), ports=())) == [0]


def test_families_are_counted_apart_and_only_where_the_service_has_an_address() -> None:
    dual = service(health_check_node_port=30099, cluster_ips=(ip("fd00::a"), ip("10.96.0.10")))
    slices = [piece(("10.0.0.1", ready("here"))), piece(("fd00:1::1", ready("here")), ("fd00:1::2", ready("here")), name="web-6")]
    assert [(check.family, check.local_endpoints) for check in health_checks(dual, slices, NODE)] == [(Family.IPV4, 1), (Family.IPV6, 2)]
    assert counted(*slices) == [1]
