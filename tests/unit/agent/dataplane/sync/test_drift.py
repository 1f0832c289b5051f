"""How a repair is reported."""

from __future__ import annotations

from proxyconfig_agent.dataplane.sync.drift import Drift
from proxyconfig_agent.ingest.model import Protocol, ServiceName
from proxyconfig_agent.select.frontends import PortName


def test_services_and_chains_are_named_once_behind_the_counts() -> None:
    drift = Drift()
    assert str(drift) == ""
    drift.count("rules")
    drift.count("elements of services", 2)
    drift.count("sets", 0)
    for _ in range(2):
        drift.of(PortName(ServiceName("shop", "web"), "http", Protocol.TCP))
    drift.of("chain nat-prerouting")
    assert str(drift) == "2 elements of services, 1 rules; of shop/web:http, chain nat-prerouting"


def test_only_a_few_are_named() -> None:
    drift = Drift()
    drift.count("elements of services", 5000)
    for number in range(5000):
        drift.of(f"shop/web-{number}")
    assert str(drift) == "5000 elements of services; of shop/web-0, shop/web-1, shop/web-2, shop/web-3, shop/web-4 and others"


def test_names_without_anything_that_was_wrong_are_no_drift() -> None:
    drift = Drift()
    drift.of("shop/web")
    assert str(drift) == ""
