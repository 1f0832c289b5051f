"""A Service that the agent itself fails on is set aside, with its trace, in every mode; all others are programmed, and it when it changes.

The Service ports below cannot come out of `ingest` and `select`: they stand for what nobody foresaw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.simulator.modes import MODES, Mode
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.port import Change, Refusal, Settings
from proxyconfig_agent.ingest.model import Network, ServiceName
from proxyconfig_agent.select.frontends import Frontends

WEB = ServiceName("shop", "web")

_unforeseen: Any = None
"""Of a type that no part of the agent expects there."""

FAULTS = {
    "an address that is none": {"external_ips": (_unforeseen,)},
    "a load balancer that is none": {"load_balancer_ips": (_unforeseen,), "source_ranges": (Network(ip("10.0.0.0"), 8),)},
    "endpoints that are text": {"cluster": "10.244.0.1:8080"},
}

modes = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
faults = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


def web(**fields: Any) -> list[Frontends]:
    """Two ports, one of which has the `fields`."""
    endpoints = ("10.244.0.1:8080",)
    return [frontends("web", "10.96.0.1", endpoints, port=81), replace(frontends("web", "10.96.0.2", endpoints, port_name="bad"), **fields)]


def others(*endpoints: str) -> list[Frontends]:
    """Services before and behind it."""
    return [frontends("a", "10.96.0.3", endpoints), frontends("z", "10.96.0.4", endpoints), frontends("six", "fd00:96::1", ())]


def only(made: Mode, ports: Sequence[Frontends]) -> bool:
    """Whether a mode has what a new one of these ports has."""
    fresh = type(made)()
    fresh.dataplane.resync(Settings(), ports)
    return made.state() == fresh.state()


def assert_web_is_set_aside(refused: Sequence[Refusal]) -> None:
    (refusal,) = refused
    assert refusal.service == WEB
    assert refusal.reason.startswith("the agent fails on this Service (")
    assert "Traceback" in refusal.trace


@modes
@faults
def test_at_the_start_and_after_a_restart_all_others_are_programmed(mode: type[Mode], fault: dict[str, Any]) -> None:
    made, wanted = mode(), others("10.244.0.2:8080")
    for _ in range(2):
        outcome = made.dataplane.resync(Settings(), [wanted[0], *web(**fault), *wanted[1:]])
        assert_web_is_set_aside(outcome.refused)
        assert only(made, wanted)
        made = made.restarted()


@modes
@faults
def test_a_change_that_the_agent_fails_on_takes_the_service_out_and_the_others_on(mode: type[Mode], fault: dict[str, Any]) -> None:
    made, before, after = mode(), others("10.244.0.2:8080"), others("10.244.0.3:8080")
    made.dataplane.resync(Settings(), [*web(), *before])
    changes = [Change(old, new) for old, new in zip([*web(), *before], [*web(**fault), *after], strict=True) if old != new]
    assert_web_is_set_aside(made.dataplane.apply(changes).refused)
    if made.dataplane.disturbed():
        assert_web_is_set_aside(made.dataplane.resync(Settings(), [*web(**fault), *after]).refused)
    assert only(made, after)


@modes
@faults
def test_it_is_programmed_when_it_changes(mode: type[Mode], fault: dict[str, Any]) -> None:
    made, wanted = mode(), others("10.244.0.2:8080")
    made.dataplane.resync(Settings(), [*web(**fault), *wanted])
    assert made.dataplane.apply([Change(None, port) for port in web()]).refused == ()
    assert only(made, [*wanted, *web()]) or made.dataplane.disturbed()
    assert made.dataplane.resync(Settings(), [*web(), *wanted]).refused == ()
    assert only(made, [*wanted, *web()])
