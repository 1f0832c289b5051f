"""Whose turn it is, from the labels of nodes alone."""

from __future__ import annotations

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_api.spec.sections import Takeover
from proxyconfig_api.values.intorpercent import IntOrPercent
from proxyconfig_cli.takeover.turns import TURN_LABEL, explicit, gated, next_wave, waiting

ROLLOUT = Rollout(max_unavailable=IntOrPercent(2))


def nodes(taken: int, total: int = 6) -> list[Metadata]:
    return [Metadata(name=f"n{index}", labels={TURN_LABEL: "x"} if index <= taken else {}) for index in range(1, total + 1)]


def test_a_canary_goes_first_and_waves_follow_until_all_have_had_their_turn() -> None:
    waves, taken = [], 0
    while wave := next_wave(nodes(taken), ROLLOUT, "x"):
        waves.append(wave)
        taken += len(wave)
    assert waves == [("n1",), ("n2", "n3"), ("n4", "n5"), ("n6",)]


def test_the_turn_of_another_proxyconfig_is_none() -> None:
    assert next_wave(nodes(6), ROLLOUT, "y") == ("n1",)


def test_the_selector_of_the_file_stays_a_part_of_the_gate() -> None:
    manifest = {"metadata": {"name": "x"}, "spec": {"nodeSelector": {"matchLabels": {"pool": "edge"}}, "mode": "iptables"}}
    assert gated(manifest)["spec"] == {"nodeSelector": {"matchLabels": {"pool": "edge", TURN_LABEL: "x"}}, "mode": "iptables"}
    assert manifest["spec"] == {"nodeSelector": {"matchLabels": {"pool": "edge"}}, "mode": "iptables"}


def test_a_node_is_waited_for_until_its_agent_is_ready_on_its_revision() -> None:
    assert waiting(["n1"], {}) == {"n1": "no NodeProxy yet"}
    assert waiting(["n1"], {"n1": proxy("False", "x-1")}) == {"n1": "WaitingForKubeProxy: it runs"}
    assert waiting(["n1"], {"n1": proxy("True", "x-0")}) == {"n1": "has x-0"}
    assert waiting(["n1"], {"n1": proxy("True", "x-1")}) == {}


def test_a_node_that_observes_is_ready_and_waited_for() -> None:
    assert waiting(["n1"], {"n1": proxy("True", "x-1", programmed="False")}) == {"n1": "Observing: nothing is programmed"}
    assert waiting(["n1"], {"n1": proxy("True", "x-1", programmed="True")}) == {}


def test_what_another_field_manager_has_written_of_the_takeover_does_not_stay_in_force() -> None:
    assert explicit({"spec": {"mode": "iptables"}}, Takeover.WAIT) == {"spec": {"mode": "iptables", "takeover": "Wait"}}
    assert explicit({"spec": None}, Takeover.ADOPT) == {"spec": {"takeover": "Adopt"}}


def proxy(ready: str, observed: str, programmed: str = "True") -> NodeProxy:
    when = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    conditions = [
        {"type": "Ready", "status": ready, "reason": "WaitingForKubeProxy", "message": "it runs", **when},
        {"type": "Programmed", "status": programmed, "reason": "Observing", "message": "nothing is programmed", **when},
    ]
    status = {"observedRevision": observed, "conditions": conditions}
    return codec.decode({"metadata": {"name": "n1"}, "spec": {"configName": "x", "revisionName": "x-1"}, "status": status}, NodeProxy)
