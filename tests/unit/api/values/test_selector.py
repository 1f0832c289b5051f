from __future__ import annotations

from typing import Any

import pytest

from proxyconfig_api.encoding import codec
from proxyconfig_api.values.selector import LabelSelector

LABELS = {"pool": "edge", "zone": "a"}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        pytest.param({}, True, id="everything"),
        pytest.param({"matchLabels": {"pool": "edge"}}, True, id="label"),
        pytest.param({"matchLabels": {"pool": "edge", "zone": "b"}}, False, id="all-labels"),
        pytest.param({"matchLabels": {"other": ""}}, False, id="absent-is-not-empty"),
        pytest.param(expression("pool", "In", "core", "edge"), True, id="in"),
        pytest.param(expression("other", "In", "x"), False, id="in-absent"),
        pytest.param(expression("pool", "NotIn", "core"), True, id="not-in"),
        pytest.param(expression("pool", "NotIn", "edge"), False, id="not-in-but-is"),
        pytest.param(expression("other", "NotIn", "edge"), True, id="not-in-absent"),
        pytest.param(expression("zone", "Exists"), True, id="exists"),
        pytest.param(expression("other", "Exists"), False, id="exists-not"),
        pytest.param(expression("other", "DoesNotExist"), True, id="absent"),
        pytest.param(expression("zone", "DoesNotExist"), False, id="absent-but-is"),
        pytest.param({"matchLabels": {"pool": "edge"}, **expression("zone", "In", "b")}, False, id="both-parts"),
    ],
)
def test_a_selector_matches_as_in_kubernetes(selector: dict[str, Any], matches: bool) -> None:
    assert codec.decode(selector, LabelSelector).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ({}, ""),
        ({"matchLabels": {"pool": "edge", "zone": "a"}}, "pool=edge,zone=a"),
        ({"matchLabels": {"pool": "edge"}, **expression("zone", "In", "a", "b")}, "pool=edge,zone in (a,b)"),
        (expression("zone", "NotIn", "a"), "zone notin (a)"),
        (expression("zone", "Exists"), "zone"),
        (expression("zone", "DoesNotExist"), "!zone"),
    ],
)
def test_a_selector_is_written_as_kubectl_takes_it(selector: dict[str, Any], words: str) -> None:
    assert str(codec.decode(selector, LabelSelector)) == words
