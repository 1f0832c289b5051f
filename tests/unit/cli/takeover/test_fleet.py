"""Which nodes come next and which are waited for, where some are down."""

from __future__ import annotations

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_api.values.intorpercent import IntOrPercent
from proxyconfig_cli.takeover.fleet import Fleet
from proxyconfig_cli.takeover.turns import TURN_LABEL

ROLLOUT = Rollout(max_unavailable=IntOrPercent(2))
DOWN = "NodeStatusUnknown: Kubelet stopped posting node status."


def fleet(taken: int, *down: str, absent: frozenset[str] = frozenset()) -> Fleet:
    """Four nodes without agents, of which the first ones had their turn."""
    nodes = tuple(Metadata(name=f"n{index}", labels={TURN_LABEL: "x"} if index <= taken else {}) for index in range(1, 5))
    return Fleet("x", nodes, down=dict.fromkeys(down, DOWN), absent=absent)


def test_a_node_that_is_down_has_no_turn() -> None:
    assert fleet(1, "n2").wave(ROLLOUT) == ("n3", "n4")
    assert fleet(3, "n4").wave(ROLLOUT) == ()


def test_nodes_that_had_their_turn_are_waited_for_and_one_that_went_down_counts() -> None:
    assert fleet(2).late() == {"n1": "no NodeProxy yet", "n2": "no NodeProxy yet"}
    assert fleet(2, "n2").late() == {"n1": "no NodeProxy yet", "n2": DOWN}


def test_nobody_waits_for_a_node_that_is_left_out() -> None:
    absent = frozenset({"n1", "n4"})
    assert fleet(1, "n1", "n4", absent=absent).late() == {}
    assert fleet(3, "n1", "n4", absent=absent).late() == {"n2": "no NodeProxy yet", "n3": "no NodeProxy yet"}


def test_a_node_that_went_down_before_its_turn_is_waited_for_when_no_other_is_left() -> None:
    assert fleet(0, "n4").late() == {}
    assert fleet(0, "n1", "n2", "n3", "n4").late() == dict.fromkeys(("n1", "n2", "n3", "n4"), DOWN)
