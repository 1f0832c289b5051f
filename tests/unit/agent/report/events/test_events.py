"""Events: one for each thing that is new."""

from __future__ import annotations

import pytest

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.events.events import NodeEvent, Posted, mode_changed, new_events, repaired
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.objects.nodeproxy import ModeStatus

WEB = Refusal(ServiceName("default", "web"), "its address 10.0.0.1 belongs to default/old", everywhere=True)
TAKEN = Finding(Topic.AGENT, "PortTaken", "healthz cannot listen")
ROOM = 100
NOTE = Finding(Topic.CONNTRACK, "LargerValueKept", "kept", harmless=True)


def test_what_is_new_has_one_event() -> None:
    events, posted, left = new_events(Posted(), [WEB], [TAKEN, NOTE], ROOM)
    assert events == (
        NodeEvent(None, "PortTaken", "Configuring", "healthz cannot listen"),
        NodeEvent(WEB.service, "Quarantined", "Programming", WEB.reason),
    )
    assert left == 0
    assert new_events(posted, [WEB], [NOTE, TAKEN], ROOM)[0] == ()


def test_another_reason_is_new() -> None:
    _, posted, _ = new_events(Posted(), [WEB], [], ROOM)
    other = Refusal(WEB.service, "its port is taken", everywhere=True)
    assert [event.note for event in new_events(posted, [WEB, other], [], ROOM)[0]] == ["its port is taken"]


def test_what_went_away_and_comes_back_is_new_again() -> None:
    _, posted, _ = new_events(Posted(), [WEB], [], ROOM)
    _, posted, _ = new_events(posted, [], [], ROOM)
    assert len(new_events(posted, [WEB], [], ROOM)[0]) == 1


def test_a_repair_names_what_it_was() -> None:
    event = repaired("2 elements of ip proxyconfig services")
    assert event.service is None
    assert event.note.endswith("repaired: 2 elements of ip proxyconfig services")


def test_what_only_this_node_cannot_do_has_its_event_on_the_node() -> None:
    refusal = Refusal(WEB.service, "port default/web: Cannot allocate memory (ENOMEM)")
    (event,), _, _ = new_events(Posted(), [refusal], [], ROOM)
    assert (event.service, event.reason) == (None, "ServiceRefused")
    assert event.note == "Service default/web is not served on this node: port default/web: Cannot allocate memory (ENOMEM)"


def test_a_service_that_is_served_otherwise_than_it_asks_is_not_called_unserved() -> None:
    refusal = Refusal(WEB.service, "the kernel has no scheduler twos", partly=True)
    (event,), _, _ = new_events(Posted(), [refusal], [], ROOM)
    assert (event.service, event.reason) == (None, "ServiceRefused")
    assert event.note == "Service default/web is not served as it asks to be: the kernel has no scheduler twos"


def test_what_there_was_no_room_for_is_new_at_the_next_call() -> None:
    many = [Refusal(ServiceName("default", f"web-{number:03}"), "no", everywhere=True) for number in range(150)]
    first, posted, left = new_events(Posted(), many, [TAKEN], ROOM)
    assert (len(first), left) == (100, 51)
    assert first[0].reason == "PortTaken", "the node's own come first"
    second, posted, left = new_events(posted, many, [TAKEN], ROOM)
    assert (len(second), left) == (51, 0)
    assert not set(first) & set(second)
    assert new_events(posted, many, [TAKEN], 0)[0] == ()


def test_a_mode_that_auto_has_taken_instead_of_another_is_an_event_on_the_node() -> None:
    now = ModeStatus(desired="auto", effective="iptables", message="auto: iptables is the best mode")
    (event,) = mode_changed("nftables", now)
    assert (event.service, event.reason, event.warning) == (None, "ModeChanged", False)
    assert event.note == "auto: iptables is the best mode; before, the node ran nftables"


@pytest.mark.parametrize(
    ("before", "desired", "effective"),
    [
        pytest.param("", "auto", "nftables", id="the first one"),
        pytest.param("nftables", "auto", "nftables", id="the same one"),
        pytest.param("nftables", "iptables", "iptables", id="by name"),
        pytest.param("nftables", "auto", "", id="none works"),
    ],
)
def test_no_other_change_of_the_mode_is_an_event(before: str, desired: str, effective: str) -> None:
    assert mode_changed(before, ModeStatus(desired=desired, effective=effective)) == ()
