from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_api.values.duration import LIMIT_S, Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("250ms", 0.25),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("24h0m0s", 86400),
        ("10us", 1e-5),
        ("5ns", 5e-9),
        ("576h", LIMIT_S),
    ],
)
def test_go_durations_are_seconds(text: str, seconds: float) -> None:
    assert Duration.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "1d", "-1s", "+1s", " 1s", "1s ", "1 s", "s", "h1", "1s\n", ".5s", "577h"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be (a duration|at most)"):
        Duration.parse(text)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (90, "1m30s"), (86400, "24h"), (0.25, "250ms"), (1.5, "1s500ms"), (1e-6, "1us")])
def test_text_is_the_shortest_common_form(seconds: float, text: str) -> None:
    assert str(Duration(seconds)) == text


@given(st.integers(min_value=0, max_value=LIMIT_S * 1000))
def test_text_means_the_same_again(milliseconds: int) -> None:
    duration = Duration(milliseconds / 1000)
    assert Duration.parse(str(duration)) == pytest.approx(duration, abs=1e-9)
