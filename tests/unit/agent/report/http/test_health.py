"""/healthz and /livez: when they fail, and what they say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.clock import FakeClock

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.report.http.health import HEARTBEAT_S, STALE_S, Health
from proxyconfig_agent.state.findings import Source
from proxyconfig_client.http.answer import Answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> Health:
    made = Health(clock.clock)
    made.programmed()
    made.node(known=True, deleted=False)
    return made


def body(answer: Answer) -> dict[str, Any]:
    return msgspec.json.decode(answer.body, type=dict[str, Any])


def passes(health: Health, clock: FakeClock, seconds: float) -> None:
    """Time goes by while the event loop runs."""
    clock.advance(seconds)
    health.beat()


def test_row_129_an_idle_agent_is_healthy(health: Health, clock: FakeClock) -> None:
    passes(health, clock, 3600)
    assert health.healthz().status == health.livez().status == 200


def test_row_128_the_body_has_kube_proxys_keys(health: Health, clock: FakeClock) -> None:
    health.synced(Family)
    passes(health, clock, 10)
    assert body(health.healthz()) == {
        "lastUpdated": "2023-11-14T22:13:30Z",
        "currentTime": "2023-11-14T22:13:30Z",
        "nodeEligible": True,
        "healthy": True,
        "status": {
            "IPv4": {"lastUpdated": "2023-11-14T22:13:20Z", "healthy": True},
            "IPv6": {"lastUpdated": "2023-11-14T22:13:20Z", "healthy": True},
        },
    }
    assert "nodeEligible" not in body(health.livez())


def test_row_129_a_change_that_waits_too_long_is_unhealthy(health: Health, clock: FakeClock) -> None:
    health.synced([Family.IPV4])
    health.queued()
    passes(health, clock, STALE_S)
    assert health.livez().status == 200
    health.queued()  # a later change does not make the first one younger
    passes(health, clock, 1)
    answer = health.livez()
    assert answer.status == 503
    assert body(answer)["healthy"] is False
    assert body(answer)["reason"] == "a change has been waiting 61 s for a successful sync"
    assert body(answer)["lastUpdated"] == "2023-11-14T22:13:20Z"
    health.synced([Family.IPV4])
    assert health.livez().status == 200


@pytest.mark.parametrize(("known", "deleted", "reason"), [(False, False, "does not exist"), (True, True, "is being deleted")])
def test_row_130_a_node_that_goes_fails_healthz_only(health: Health, known: bool, deleted: bool, reason: str) -> None:
    health.node(known=known, deleted=deleted)
    answer = health.healthz()
    assert answer.status == 503
    assert body(answer)["nodeEligible"] is False
    assert body(answer)["healthy"] is True, "as in kube-proxy"
    assert reason in body(answer)["reason"]
    assert health.livez().status == 200


def test_before_the_node_was_seen_only_livez_is_fine(clock: FakeClock) -> None:
    assert (Health(clock.clock).healthz().status, Health(clock.clock).livez().status) == (503, 200)


def test_a_broken_data_path_drains_the_node_and_does_not_restart_the_agent(health: Health) -> None:
    health.set_unhealthy(Source.MODE, "the kernel has no nft_numgen")
    health.set_unhealthy(Source.SYNC, "the last sync failed: out of memory")
    answer = health.healthz()
    assert answer.status == 503
    assert (body(answer)["healthy"], body(answer)["reason"]) == (
        False,
        "the kernel has no nft_numgen; the last sync failed: out of memory",
    )
    assert health.livez().status == 200
    assert not health.serves()
    health.set_unhealthy(Source.MODE, "")
    assert body(health.healthz())["reason"] == "the last sync failed: out of memory"
    health.set_unhealthy(Source.SYNC, "")
    assert health.healthz().status == 200
    assert health.serves()


def test_an_agent_is_ready_from_its_first_sync_to_its_removal_and_lives_all_the_while(clock: FakeClock) -> None:
    health = Health(clock.clock)
    health.node(known=True, deleted=False)
    assert (health.readyz().status, health.healthz().status, health.livez().status) == (503, 503, 200)
    assert body(health.readyz()) == {"ready": False, "reason": "the first sync has not ended yet"}
    health.programmed()
    assert (health.readyz().status, health.healthz().status) == (200, 200)
    health.set_unhealthy(Source.SYNC, "the last sync failed: out of memory")
    assert (health.readyz().status, health.healthz().status) == (200, 503), "what is programmed goes on"
    health.programmed("this node's proxy was removed")
    assert (health.readyz().status, health.livez().status) == (503, 200)


def test_rules_of_a_node_that_goes_can_be_relied_on_until_it_has_gone(health: Health, clock: FakeClock) -> None:
    health.node(known=True, deleted=True)
    assert health.serves()
    health.queued()
    passes(health, clock, STALE_S + 1)
    assert not health.serves()


def test_healthz_tells_when_the_rules_were_compared_last_and_what_was_put_right(health: Health, clock: FakeClock) -> None:
    assert "audit" not in body(health.healthz())
    health.audited("")
    passes(health, clock, 10)
    assert body(health.healthz())["audit"] == {"lastAudit": "2023-11-14T22:13:20Z"}
    health.audited("1 elements of services; of shop/web:http")
    assert body(health.healthz())["audit"] == {"lastAudit": "2023-11-14T22:13:30Z", "repaired": "1 elements of services; of shop/web:http"}
    assert "audit" not in body(health.livez())


def test_a_hanging_event_loop_is_unhealthy(health: Health, clock: FakeClock) -> None:
    clock.advance(HEARTBEAT_S + 1)
    answer = health.livez()
    assert answer.status == 503
    assert body(answer)["reason"] == "the agent's event loop has been unresponsive for 31 s"


@pytest.mark.parametrize("jump_s", [-3600, 120, 86400])
def test_a_clock_that_is_set_makes_nobody_sick_and_heals_nobody(health: Health, clock: FakeClock, jump_s: float) -> None:
    health.queued()
    clock.set_wall(jump_s)
    assert health.livez().status == health.healthz().status == 200
    clock.advance(HEARTBEAT_S + 1)
    assert "unresponsive" in body(health.livez())["reason"]
    passes(health, clock, STALE_S)
    assert body(health.livez())["reason"] == "a change has been waiting 91 s for a successful sync"
