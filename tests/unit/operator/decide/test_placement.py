"""What a member lacks of being placed: its NodeProxy, its label, both or nothing."""

from __future__ import annotations

from tests.unit.operator.builders import config, labelled, node, proxy

from proxyconfig_api import names
from proxyconfig_operator.decide.placement import writes_of
from proxyconfig_operator.decide.revisions import Target, Verdict
from proxyconfig_operator.model.objects import Node
from proxyconfig_operator.model.writes import Apply, Resource, Write

FOLLOW = Target("x-1", Verdict.FOLLOW, pending=False)


def kinds(writes: tuple[Write, ...]) -> list[Resource]:
    return [write.resource for write in writes if isinstance(write, Apply)]


def test_a_new_member_gets_its_node_proxy_before_its_label() -> None:
    writes = writes_of(config(), FOLLOW, node("a"), None)
    assert kinds(writes) == [Resource.NODE_PROXY, Resource.NODE]


def test_a_member_that_is_placed_needs_nothing() -> None:
    assert writes_of(config(), FOLLOW, labelled("a", "x"), proxy("a")) == ()


def test_a_member_that_has_lost_its_label_gets_the_label_alone() -> None:
    assert kinds(writes_of(config(), FOLLOW, node("a"), proxy("a"))) == [Resource.NODE]


def test_a_node_proxy_of_an_earlier_node_of_the_name_is_given_to_the_node_of_now() -> None:
    before = labelled("a", "x")
    now = Node(metadata=type(before.metadata)(name="a", uid="uid-later", labels={names.CONFIG_LABEL: "x"}), status=before.status)
    (write,) = writes_of(config(), FOLLOW, now, proxy("a"))
    assert isinstance(write, Apply)
    assert write.body["metadata"]["ownerReferences"][0]["uid"] == "uid-later"
