"""Which node belongs to which ProxyConfig."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.builders import config, node

from proxyconfig_api.objects.assignment import Assignment, assign
from proxyconfig_operator.model.objects import Config, Node

EDGE = {"matchLabels": {"pool": "edge"}}


def test_a_node_goes_to_the_one_that_selects_it() -> None:
    assigned = assign([config("edge", nodeSelector=EDGE)], [node("n1", pool="edge"), node("n2")])

    assert assigned == Assignment({"edge": ("n1",)}, {"n1": "edge"}, {}, ("n2",))


def test_priority_decides_before_age_and_age_before_the_name() -> None:
    assert winner(config("low", age_s=9), config("high", priority=1)) == "high"
    assert winner(config("a", age_s=1), config("z", age_s=9)) == "z"
    assert winner(config("a"), config("z")) == "a"


def test_who_loses_a_node_knows_to_whom() -> None:
    assigned = assign([config("a", priority=1), config("b"), config("c")], [node("n")])

    assert assigned.overlaps == {"b": {"n": "a"}, "c": {"n": "a"}}


def test_one_that_is_being_deleted_gets_nothing() -> None:
    assert winner(config("a", priority=9, deleted_ago_s=1), config("b")) == "b"


def test_one_that_cannot_be_understood_keeps_the_nodes_that_carry_its_label_and_no_others() -> None:
    broken = Config.of({"metadata": {"name": "x", "uid": "u"}, "spec": {"mode": "ipvs", "iptables": {"localhostNodePorts": True}}})
    assert broken.problem

    assigned = assign([broken, config("y", priority=1000)], [node("mine", **{"proxyconfig.dev/config": "x"}), node("new")])

    assert assigned.members == {"x": ("mine",), "y": ("new",)}


def winner(*configs: Config) -> str:
    return assign(configs, [node("n")]).winners["n"]


pools = st.sampled_from(["", "edge", "core"])
configs_strategy = st.lists(
    st.builds(
        lambda number, priority, age_s, pool, deleted: config(
            f"c{number}",
            priority=priority,
            age_s=age_s,
            deleted_ago_s=1 if deleted else None,
            nodeSelector={"matchLabels": {"pool": pool}} if pool else {},
        ),
        st.integers(0, 9),
        st.integers(-2, 2),
        st.integers(0, 3),
        pools,
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.name,
)
nodes_strategy = st.lists(
    st.builds(lambda number, pool: node(f"n{number}", pool=pool), st.integers(0, 9), pools), unique_by=lambda n: n.metadata.name
)


@given(configs_strategy, nodes_strategy, st.randoms())
def test_every_node_has_at_most_one_and_the_order_of_events_does_not_matter(
    configs: list[Config], nodes: list[Node], chance: Random
) -> None:
    assigned = assign(configs, nodes)
    shuffled_configs, shuffled_nodes = list(configs), list(nodes)
    chance.shuffle(shuffled_configs)
    chance.shuffle(shuffled_nodes)

    placed = [name for members in assigned.members.values() for name in members]
    assert sorted([*placed, *assigned.unselected]) == sorted(each.metadata.name for each in nodes)
    assert assign(shuffled_configs, shuffled_nodes) == assigned


@given(configs_strategy, nodes_strategy)
def test_one_more_node_changes_nothing_for_the_others(configs: list[Config], nodes: list[Node]) -> None:
    before = assign(configs, nodes[1:]).winners
    after = assign(configs, nodes).winners

    assert {name: after[name] for name in before} == before


def test_a_config_without_a_creation_time_counts_as_the_youngest() -> None:
    young = Config.of({"metadata": {"name": "a", "uid": "u"}, "spec": {}})
    assert young.metadata.creation_timestamp is None
    assert winner(young, config("z", age_s=-int(timedelta(days=1).total_seconds()))) == "z"


def test_nodes_without_linux_belong_to_nobody_and_are_not_counted() -> None:
    everybody = config("x")
    others = [node("win-1", system="windows"), node("odd", system=""), node("edge", pool="edge")]

    assigned = assign([everybody], others)

    assert assigned == Assignment({"x": ("edge",)}, {"edge": "x"}, {}, ())
