"""What was written is waited for, but not forever."""

from __future__ import annotations

from typing import Any

from tests.unit.operator.builders import P1, config, node, proxy, snapshot

from proxyconfig_api.status.rollout import RolloutStatus
from proxyconfig_operator.apply.expectations import PATIENCE_S, Expectations
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config
from proxyconfig_operator.model.writes import Apply, Resource

R2 = RolloutStatus(revision="r2")
WRITE = Apply(Resource.NODE_PROXY, "n1", {"metadata": {}, "spec": {"configName": "x", "revisionName": "r2", "podRevision": P1}})


def there(rollout: RolloutStatus | None, *proxies: Any, nodes: tuple[str, ...] = ("n1",)) -> Snapshot:
    each = config()
    status = type(each.status)(rollout=rollout)
    return snapshot([Config(each.metadata, each.spec, status)], [node(name) for name in nodes], proxies=proxies)


def test_caches_that_do_not_show_the_status_or_a_node_yet_are_behind() -> None:
    expectations = Expectations()
    expectations.expect("x", R2, [WRITE])

    assert not expectations.are_met("x", there(None, proxy("n1", revision="r2")))
    assert not expectations.are_met("x", there(R2, proxy("n1", revision="r1")))
    assert not expectations.are_met("x", there(R2))
    assert expectations.are_met("x", there(R2, proxy("n1", revision="r2")))
    assert expectations.are_met("x", there(None)), "what was seen once is not waited for again"


def test_a_node_that_has_left_is_not_waited_for() -> None:
    expectations = Expectations()
    expectations.expect("x", R2, [WRITE])

    assert expectations.are_met("x", there(R2, nodes=()))


def test_a_write_that_was_lost_holds_up_nothing_for_long() -> None:
    now = [0.0]
    expectations = Expectations(lambda: now[0])
    expectations.expect("x", R2, [WRITE])
    now[0] = PATIENCE_S

    assert expectations.are_met("x", there(None))


def test_nothing_is_expected_of_what_was_never_written_or_was_refused() -> None:
    expectations = Expectations()
    assert expectations.are_met("x", there(None))
    expectations.expect("x", R2, [WRITE])
    expectations.forget("x")
    assert expectations.are_met("x", there(None))
