"""When a watch that is down is reported, and in which words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.support.clock import FakeClock

from proxyconfig_agent.report.status.conditions import NodeState, updates_of
from proxyconfig_agent.report.watches import DOWN_S, Watches
from proxyconfig_client.watch.state import ReflectorState

SERVICES = ReflectorState("/api/v1/services")
CIDRS = ReflectorState("/apis/networking.k8s.io/v1/servicecidrs")
FORBIDDEN = 'services is forbidden: User "x" cannot list resource "services" (HTTP 403)'


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gauge() -> dict[str, bool]:
    return {}


@pytest.fixture
def watches(clock: FakeClock, gauge: dict[str, bool]) -> Watches:
    return Watches(clock.clock.monotonic, gauge.__setitem__)


def reasons(watches: Watches) -> list[str]:
    return [finding.reason for finding in watches.findings()]


def test_a_list_that_is_on_its_way_is_no_finding(watches: Watches, gauge: dict[str, bool]) -> None:
    watches.update(SERVICES)
    assert watches.findings() == ()
    assert gauge == {"services": False}


def test_a_first_list_that_fails_is_reported_at_once_with_the_resource_and_the_servers_words(watches: Watches) -> None:
    watches.update(replace(SERVICES, error=FORBIDDEN))
    (finding,) = watches.findings()
    assert (finding.reason, finding.message) == ("ListFailed", f"services cannot be listed, which the first sync waits for: {FORBIDDEN}")


def test_a_watch_is_reported_after_a_minute_and_until_it_is_open_again(watches: Watches, clock: FakeClock, gauge: dict[str, bool]) -> None:
    open_ = replace(SERVICES, synced=True, connected=True)
    watches.update(open_)
    watches.update(replace(open_, connected=False, error="Connection refused"))
    assert (reasons(watches), gauge) == ([], {"services": False})
    clock.advance(DOWN_S - 1)
    watches.update(replace(open_, connected=False, error=FORBIDDEN))  # other words do not make it younger
    assert reasons(watches) == []
    clock.advance(1)
    assert reasons(watches) == ["WatchDown"]
    assert FORBIDDEN in watches.findings()[0].message
    watches.update(open_)
    assert (reasons(watches), gauge) == ([], {"services": True})


def test_a_stream_that_ends_and_is_opened_again_is_no_finding_however_often(watches: Watches, clock: FakeClock) -> None:
    for _ in range(100):
        watches.update(replace(SERVICES, synced=True, connected=True))
        clock.advance(DOWN_S)
        watches.update(replace(SERVICES, synced=True, connected=False))
        assert watches.findings() == ()


def test_a_resource_that_the_server_does_not_have_is_none_of_ours(watches: Watches, clock: FakeClock, gauge: dict[str, bool]) -> None:
    watches.update(replace(CIDRS, synced=True, absent=True))
    clock.advance(10 * DOWN_S)
    assert (watches.findings(), gauge) == ((), {})


def test_a_node_whose_watch_is_down_is_programmed_and_not_ready(watches: Watches, clock: FakeClock) -> None:
    watches.update(replace(SERVICES, synced=True, error="Connection refused"))
    clock.advance(DOWN_S)
    found = {each.type: each for each in updates_of(NodeState(version="1", programmed=True, findings=watches.findings()))}
    assert [(kind, found[kind].holds, found[kind].reason) for kind in ("Ready", "Programmed", "Connected", "Degraded")] == [
        ("Ready", False, "WatchDown"),
        ("Programmed", True, "Synced"),
        ("Connected", False, "WatchDown"),
        ("Degraded", True, "WatchDown"),
    ]


def test_a_list_that_fails_is_why_an_agent_is_still_starting(watches: Watches) -> None:
    watches.update(replace(SERVICES, error=FORBIDDEN))
    ready = updates_of(NodeState(version="1", findings=watches.findings()))[0]
    assert (ready.type, ready.holds, ready.reason) == ("Ready", False, "ListFailed")
