from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from proxyconfig_cli.output.age import age
from proxyconfig_cli.output.formats import formatted
from proxyconfig_cli.output.table import table

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (10_799, "179m"), (10_800, "3h"), (172_799, "47h"), (172_800, "2d"), (-5, "0s")],
)
def test_ages_are_written_as_kubectl_writes_them(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_an_unknown_age_is_empty() -> None:
    assert age(None, NOW) == ""


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("A", "LONG"), [("wide", 1), ("", "x")]) == "A        LONG\nwide     1\n<none>   x\n"


def test_keys_keep_their_order() -> None:
    assert formatted({"b": 1, "a": [True]}, "yaml") == "b: 1\na:\n- true\n"
    assert formatted({"b": 1, "a": [True]}, "json") == '{\n    "b": 1,\n    "a": [\n        true\n    ]\n}\n'
