from __future__ import annotations

import pytest

from proxyconfig_api.status.messages import listed


@pytest.mark.parametrize(
    ("things", "sentence"),
    [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c"], "a, b and 1 more"), ([1, 2, 3, 4], "1, 2 and 2 more")],
)
def test_the_first_things_are_named_and_the_others_counted(things: list[object], sentence: str) -> None:
    assert listed(things, most=2) == sentence
