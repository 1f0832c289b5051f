"""What a member lacks of being placed: its NodeProxy, its label, both or nothing."""

from __future__ import annotations

from tests.unit.operator.builders import P1, labelled, node, proxy

from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import NodeChange, NodeProxy, NodeProxySpec
from proxyconfig_api.spec.rollout import OnFailure
from proxyconfig_operator.decide import placement
from proxyconfig_operator.model.objects import Node
from proxyconfig_operator.model.writes import Apply, Label, Resource, Write

CHANGE = NodeChange(on_failure=OnFailure.ROLLBACK)


def writes_of(node: Node, proxy: NodeProxy | None, revision: str = "x-1") -> tuple[Write, ...]:
    wanted = NodeProxySpec(config_name="x", revision_name=revision, pod_revision=P1, change=CHANGE)
    return placement.writes_of(wanted, node, proxy)


def kinds(writes: tuple[Write, ...]) -> list[Resource]:
    return [Resource.NODE if isinstance(write, Label) else write.resource for write in writes]


def test_a_new_member_gets_its_node_proxy_before_its_label() -> None:
    writes = writes_of(node("a"), None)
    assert kinds(writes) == [Resource.NODE_PROXY, Resource.NODE]


def test_a_member_that_is_placed_needs_nothing() -> None:
    assert writes_of(labelled("a", "x"), proxy("a")) == ()


def test_a_member_that_has_lost_its_label_gets_the_label_alone() -> None:
    assert kinds(writes_of(node("a"), proxy("a"))) == [Resource.NODE]


def test_a_node_proxy_of_an_earlier_node_of_the_name_is_given_to_the_node_of_now() -> None:
    before = labelled("a", "x")
    now = Node(metadata=type(before.metadata)(name="a", uid="uid-later", labels={names.CONFIG_LABEL: "x"}), status=before.status)
    (write,) = writes_of(now, proxy("a"))
    assert isinstance(write, Apply)
    assert write.body["metadata"]["ownerReferences"][0]["uid"] == "uid-later"


def test_what_the_agent_needs_to_know_of_the_change_comes_with_the_revision_and_not_without_one() -> None:
    (write,) = writes_of(labelled("a", "x"), proxy("a"), "x-2")
    assert isinstance(write, Apply)
    assert write.body["spec"]["change"] == {"onFailure": "Rollback"}
    assert writes_of(labelled("a", "x"), proxy("a"), "x-1") == (), "other settings alone"


def test_a_member_that_was_given_back_has_the_label_of_a_member_alone_in_one_patch() -> None:
    gave_back = node("a", **{names.LEAVING_LABEL: "x"})
    assert writes_of(gave_back, proxy("a")) == (Label("a", "uid-a", {names.CONFIG_LABEL: "x", names.LEAVING_LABEL: None}),)
