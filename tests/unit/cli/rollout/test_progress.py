from __future__ import annotations

from typing import Any

import pytest

from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_cli.rollout.progress import Outcome, progress


def config(status: dict[str, Any], generation: int = 2, **spec: Any) -> ProxyConfig:
    status = {"observedGeneration": 2, "revision": "default-2", **status}
    return ProxyConfig.parse({"metadata": {"name": "default", "generation": generation}, "spec": spec, "status": status})


def nodes(desired: int, updated: int, ready: int) -> dict[str, int]:
    return {"desired": desired, "updated": updated, "ready": ready}


PLAN = {"revision": "default-3", "podRevision": "p2", "nodes": 9}


def condition(kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": "Because", "message": message}


@pytest.mark.parametrize(
    ("status", "outcome", "message"),
    [
        ({"observedGeneration": 1}, Outcome.UNDERWAY, "default: waiting for the operator to see generation 2"),
        ({"nodes": nodes(0, 0, 0)}, Outcome.COMPLETE, "default: selects no node"),
        ({"nodes": nodes(1, 1, 1)}, Outcome.COMPLETE, "default: revision default-2 is healthy on 1 node"),
        ({"nodes": nodes(3, 1, 1)}, Outcome.UNDERWAY, "default: 1 of 3 nodes updated, 1 ready"),
        (
            {"nodes": nodes(3, 3, 2), "worstNodes": [{"node": "n1", "reason": "NotSynced"}]},
            Outcome.UNDERWAY,
            "default: 3 of 3 nodes updated, 2 ready; n1: NotSynced",
        ),
        (
            {"nodes": nodes(3, 3, 3), "conditions": [condition("Reconciling", "")]},
            Outcome.UNDERWAY,
            "default: 3 of 3 nodes updated, 3 ready",
        ),
        ({"nodes": nodes(3, 1, 1), "conditions": [condition("Stalled", "n1 says no")]}, Outcome.FAILED, "default: n1 says no"),
        (
            {"nodes": nodes(9, 3, 3), "rollout": {"phase": "Progressing", "wave": 2, "waves": 4}},
            Outcome.UNDERWAY,
            "default: 3 of 9 nodes updated, 3 ready, wave 2 of 4",
        ),
        (
            {"nodes": nodes(9, 9, 9), "rollout": {"phase": "Progressing", "wave": 4, "waves": 4}},
            Outcome.UNDERWAY,
            "default: 9 of 9 nodes updated, 9 ready, wave 4 of 4",
        ),
        (
            {"nodes": nodes(9, 9, 9), "rollout": {"phase": "Complete", "wave": 4, "waves": 4}},
            Outcome.COMPLETE,
            "default: revision default-2 is healthy on 9 nodes",
        ),
        (
            {"nodes": nodes(9, 3, 3), "rollout": {"phase": "Paused"}},
            Outcome.UNDERWAY,
            "default: 3 of 9 nodes updated, 3 ready; paused: continue with kubectl proxyconfig rollout resume default",
        ),
        (
            {"nodes": nodes(9, 9, 9), "rollout": {"phase": "Complete"}, "plan": PLAN},
            Outcome.UNDERWAY,
            "default: 9 of 9 nodes updated, 9 ready",
        ),
        (
            {"nodes": nodes(9, 9, 9), "rollout": {"phase": "RolledBack"}, "plan": PLAN},
            Outcome.UNDERWAY,
            "default: 9 of 9 nodes updated, 9 ready",
        ),
        (
            {
                "nodes": nodes(9, 1, 1),
                "rollout": {"phase": "RollingBack", "previousRevision": "default-1", "message": "n1: dns/UDP failed"},
            },
            Outcome.UNDERWAY,
            "default: rolling back to default-1: n1: dns/UDP failed",
        ),
        (
            {"nodes": nodes(9, 0, 9), "rollout": {"phase": "RolledBack", "message": "n1: dns/UDP failed"}},
            Outcome.FAILED,
            "default: rolled back: n1: dns/UDP failed",
        ),
        (
            {"nodes": nodes(9, 1, 8), "rollout": {"phase": "Failed"}, "conditions": [condition("Stalled", "n1 says no")]},
            Outcome.FAILED,
            "default: failed: n1 says no",
        ),
    ],
)
def test_a_status_is_one_sentence_and_an_outcome(status: dict[str, Any], outcome: Outcome, message: str) -> None:
    found = progress(config(status))
    assert (found.outcome, found.message) == (outcome, message)


def test_what_waits_for_the_end_of_a_pause_is_named_although_all_nodes_are_ready() -> None:
    found = progress(config({"nodes": nodes(9, 9, 9), "rollout": {"phase": "Complete"}, "plan": PLAN}, rollout={"paused": True}))
    words = "9 of 9 nodes updated, 9 ready, default-3 waits for 9 nodes"
    assert (found.outcome, found.message.split("; ")[0]) == (Outcome.UNDERWAY, f"default: {words}")


def test_a_paused_spec_is_named_before_the_operator_writes_a_phase() -> None:
    assert "paused" in progress(config({"nodes": nodes(2, 1, 1)}, rollout={"paused": True})).message
