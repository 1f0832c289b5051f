"""Operators that are killed, and an API server that is away, while a change of the mode goes through a fleet."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cluster import deploy
from tests.fleet.fleet import Fleet
from tests.fleet.test_failures import CANARY, without_dns
from tests.fleet.waves import CAREFUL, Record, nothing_lost, seen
from tests.support.netns.flows import Told
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

_OPERATORS = ("-n", deploy.NAMESPACE, "-l", "app.kubernetes.io/name=proxyconfig-operator")


def kill_operators(fleet: Fleet) -> None:
    """End all of them at once; others come."""
    fleet.product.kubectl("delete", "pods", *_OPERATORS, "--force", "--grace-period=0")


def once_per(key: Callable[[], object], act: Callable[[], None]) -> Callable[[], None]:
    """Act the first time that a key is seen."""
    had = set[object]()

    def look() -> None:
        if (found := key()) not in had:
            had.add(found)
            act()

    return look


def test_operators_that_are_killed_in_every_wave_lose_nothing_and_the_order_of_waves_is_kept(fleet: Fleet, record_property: Record) -> None:
    told, during = list[Told](), seen(fleet)

    def wave() -> object:
        during.look()
        return fleet.product.config()["status"]["rollout"]["wave"]

    with fleet.traffic(told):
        generation = fleet.order("iptables", CAREFUL)
        fleet.await_phase("Complete", generation, once_per(wave, lambda: kill_operators(fleet)))
    nothing_lost(told, record_property)
    print(f"killed in waves {during.waves}")
    assert (during.zones_at_once, during.nodes_at_once) == (1, 2)
    assert {fleet.mode_of(node.name) for node in fleet.local.nodes} == {"iptables"}


def test_operators_that_are_killed_while_nodes_go_back_finish_that(fleet: Fleet, record_property: Record) -> None:
    told = list[Told]()
    with fleet.traffic(told):
        generation = fleet.order("iptables", {**CAREFUL, "holdPeriod": "5m"})
        fleet.await_held(CANARY)
        with without_dns(fleet, CANARY):
            fleet.await_change(CANARY, "RolledBack")
            kill_operators(fleet)
            fleet.await_phase("RolledBack", generation)
    nothing_lost(told, record_property)
    assert {fleet.mode_of(node.name) for node in fleet.local.nodes} == {"nftables"}


def test_a_node_is_back_by_itself_while_the_api_server_is_away(fleet: Fleet, record_property: Record) -> None:
    told = list[Told]()
    with fleet.traffic(told):
        generation = fleet.order("iptables", {**CAREFUL, "holdPeriod": "5m"})
        fleet.await_held(CANARY)
        fleet.local.plane.stop_server()  # the probe apiServer fails from now on
        try:
            eventually(lambda: fleet.mode_of(CANARY), until="nftables".__eq__, within_s=120, every_s=0.1)
        finally:
            fleet.local.plane.start_server()
        fleet.await_phase("RolledBack", generation)
    nothing_lost(told, record_property)


def test_a_change_that_no_probe_needs_the_api_server_for_ends_while_it_is_away(fleet: Fleet, record_property: Record) -> None:
    told = list[Told]()
    with fleet.traffic(told):
        generation = fleet.order("iptables", {**CAREFUL, "holdPeriod": "10s", "probes": {"apiServer": False}})
        fleet.await_change(CANARY, "Preparing", "Probing", "Holding")
        fleet.local.plane.stop_server()
        try:
            eventually(lambda: fleet.on(CANARY, "nft", "list", "tables"), until=lambda tables: "proxyconfig" not in tables, within_s=240)
            assert fleet.mode_of(CANARY) == "iptables"
        finally:
            fleet.local.plane.start_server()
        fleet.await_phase("Complete", generation)
    nothing_lost(told, record_property)
