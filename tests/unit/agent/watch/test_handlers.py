from __future__ import annotations

from typing import Any

import msgspec
from tests.unit.agent.examples import NODE

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.state.batch import everything
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.watch.handlers import EndpointSliceHandler, ServiceHandler
from proxyconfig_client.watch.objects import Key

KEY = Key("shop", "web")


class Sinks:
    def __init__(self) -> None:
        self.cluster = ClusterState(NODE)
        self.changes = 0
        self.services, self.slices = ServiceHandler(self.cluster, self._changed), EndpointSliceHandler(self.cluster, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def service(self, **spec: Any) -> None:
        source = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]} | spec}
        self.services.on_upsert(msgspec.convert(source, apitypes.Service))

    def slice(self, address: str = "10.0.0.1", **labels: str) -> None:
        labels = labels or {"kubernetes.io/service-name": "web"}
        source = {
            "metadata": {"name": "web", "namespace": "shop", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "", "port": 8080}],
            "endpoints": [{"addresses": [address]}],
        }
        self.slices.on_upsert(msgspec.convert(source, apitypes.EndpointSlice))

    def reachable(self) -> list[bool]:
        return [port.reachable for port in everything(self.cluster.view(), Programmed()).ports()]

    def rejected(self) -> dict[ServiceName, tuple[str, ...]]:
        view = self.cluster.view()
        return {name: sentences for name in view.names() if (sentences := view.select(name).rejected)}


def test_what_is_put_is_known_and_what_is_dropped_is_not() -> None:
    sinks = Sinks()
    sinks.service()
    sinks.slice()
    assert (list(sinks.services.keys()), list(sinks.slices.keys()), sinks.changes) == ([KEY], [KEY], 2)
    sinks.slices.on_delete(KEY)
    sinks.services.on_delete(KEY)
    assert (list(sinks.services.keys()), list(sinks.slices.keys()), sinks.changes) == ([], [], 4)


def test_the_same_again_is_no_change() -> None:
    sinks = Sinks()
    for _ in range(2):
        sinks.service()
        sinks.slice()
    sinks.services.on_delete(Key("shop", "unknown"))
    assert sinks.changes == 2


def test_endpoints_that_nobody_serves_are_no_change() -> None:
    sinks = Sinks()
    sinks.slice()
    sinks.slice("10.0.0.2")
    assert (sinks.changes, len(sinks.cluster.pending)) == (0, 0)
    sinks.service()
    assert sinks.reachable() == [True]


def test_row_78_a_service_that_becomes_an_external_name_is_gone_and_comes_back() -> None:
    sinks = Sinks()
    sinks.service()
    sinks.service(type="ExternalName", clusterIP="")
    assert sinks.reachable() == []
    sinks.service()
    assert sinks.reachable() == [False]


def test_row_81_a_slice_that_becomes_headless_serves_no_more() -> None:
    sinks = Sinks()
    sinks.service()
    sinks.slice()
    assert sinks.reachable() == [True]
    sinks.slices.on_upsert(
        msgspec.convert(
            {"metadata": {"name": "web", "namespace": "shop", "labels": {"service.kubernetes.io/headless": ""}}, "addressType": "IPv4"},
            apitypes.EndpointSlice,
        )
    )
    assert sinks.reachable() == [False]


def test_a_service_that_cannot_be_decoded_is_named_until_it_is_gone() -> None:
    sinks = Sinks()
    sinks.services.on_undecodable(KEY, "cannot be decoded: Expected `int`")
    assert list(sinks.rejected()) == [ServiceName("shop", "web")]
    sinks.services.on_delete(KEY)
    assert sinks.rejected() == {}


def test_a_slice_that_cannot_be_decoded_is_used_as_it_was_and_its_service_says_so() -> None:
    sinks = Sinks()
    sinks.service()
    sinks.slice()
    sinks.slices.on_undecodable(KEY, "cannot be decoded: Expected `array`")
    sinks.slices.on_undecodable(Key("shop", "unknown"), "cannot be decoded: Expected `array`")
    assert sinks.reachable() == [True]
    assert sinks.rejected() == {
        ServiceName("shop", "web"): ("EndpointSlice web cannot be decoded: Expected `array`",),
    }
    sinks.slice()
    assert sinks.rejected() == {}
