from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_api.values.intorpercent import IntOrPercent


@pytest.mark.parametrize(("raw", "total", "nodes"), [(3, 100, 3), (3, 1, 3), (0, 7, 0), ("10%", 100, 10), ("10%", 101, 11), ("1%", 3, 1)])
def test_a_percentage_is_rounded_up(raw: Any, total: int, nodes: int) -> None:
    assert IntOrPercent.parse(raw).of(total) == nodes


@given(st.integers(0, 100), st.integers(0, 10_000))
def test_a_percentage_is_none_only_of_nothing_and_never_more_than_all(percent: int, total: int) -> None:
    nodes = IntOrPercent.parse(f"{percent}%").of(total)
    assert 0 <= nodes <= total
    assert (nodes == 0) == (percent == 0 or total == 0)


@pytest.mark.parametrize("raw", ["5", "101%", "-1%", "1.5%", "%", "", -1, 2**31, 1.5, True, None, ["1%"], "٣%"])
def test_anything_else_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match="must be a number such as 3 or a percentage"):
        IntOrPercent.parse(raw)


@pytest.mark.parametrize("raw", [0, 7, "0%", "100%"])
def test_it_is_written_as_it_was_read(raw: Any) -> None:
    assert IntOrPercent.parse(raw).builtin() == raw
    assert IntOrPercent.parse(raw) == IntOrPercent.parse(raw)
    assert hash(IntOrPercent.parse(raw)) == hash(IntOrPercent.parse(raw))
