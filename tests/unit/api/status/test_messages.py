from __future__ import annotations

import pytest

from proxyconfig_api.status.messages import listed, node_count, nodes


@pytest.mark.parametrize(
    ("things", "sentence"),
    [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c"], "a, b and 1 more"), ([1, 2, 3, 4], "1, 2 and 2 more")],
)
def test_the_first_things_are_named_and_the_others_counted(things: list[object], sentence: str) -> None:
    assert listed(things, most=2) == sentence


@pytest.mark.parametrize(
    ("names", "words"), [(["a"], "node a"), (["a", "b"], "2 nodes (a, b)"), (list("abcdefg"), "7 nodes (a, b, c, d, e and 2 more)")]
)
def test_one_node_is_named_and_several_are_counted_and_named(names: list[str], words: str) -> None:
    assert nodes(names) == words


@pytest.mark.parametrize(("number", "words"), [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes")])
def test_nodes_are_counted(number: int, words: str) -> None:
    assert node_count(number) == words
