from __future__ import annotations

import pytest

from proxyconfig_api.status.shadow import score_of


@pytest.mark.parametrize(
    ("matching", "flows", "score"), [(0, 0, ""), (0, 7, "0%"), (1, 2, "50%"), (2, 3, "66.6%"), (99_999, 100_000, "99.9%"), (7, 7, "100%")]
)
def test_a_score_is_100_percent_only_if_all_flows_match(matching: int, flows: int, score: str) -> None:
    assert score_of(matching, flows) == score
