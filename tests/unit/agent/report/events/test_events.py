"""Events: each piece of news once."""

from __future__ import annotations

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.events.events import NodeEvent, Posted, news, repaired
from proxyconfig_agent.state.findings import Finding, Topic

WEB = Refusal(ServiceName("default", "web"), "its address 10.0.0.1 belongs to default/old", everywhere=True)
TAKEN = Finding(Topic.AGENT, "PortTaken", "healthz cannot listen")
NOTE = Finding(Topic.CONNTRACK, "LargerValueKept", "kept", harmless=True)


def test_news_is_told_once() -> None:
    notices, told = news(Posted(), [WEB], [TAKEN, NOTE])
    assert notices == (
        NodeEvent(WEB.service, "Quarantined", "Programming", WEB.reason),
        NodeEvent(None, "PortTaken", "Configuring", "healthz cannot listen"),
    )
    assert news(told, [WEB], [NOTE, TAKEN])[0] == ()


def test_another_reason_is_news() -> None:
    _, told = news(Posted(), [WEB], [])
    other = Refusal(WEB.service, "its port is taken", everywhere=True)
    assert [notice.note for notice in news(told, [WEB, other], [])[0]] == ["its port is taken"]


def test_what_went_away_and_comes_back_is_news_again() -> None:
    _, told = news(Posted(), [WEB], [])
    _, told = news(told, [], [])
    assert len(news(told, [WEB], [])[0]) == 1


def test_a_repair_names_what_it_was() -> None:
    notice = repaired("2 elements of ip proxyconfig services")
    assert notice.service is None
    assert notice.note.endswith("repaired: 2 elements of ip proxyconfig services")


def test_what_only_this_node_cannot_do_is_told_on_the_node() -> None:
    (notice,), _ = news(Posted(), [Refusal(WEB.service, "port default/web: Cannot allocate memory (ENOMEM)")], [])
    assert (notice.service, notice.reason) == (None, "ServiceRefused")
    assert notice.note == "Service default/web is not served on this node: port default/web: Cannot allocate memory (ENOMEM)"
