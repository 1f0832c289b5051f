"""A change to ipvs whose probes fail while it is held: the node goes back by itself, and no client loses a request.

Run as `test_ipvs` says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.kernel.mode_changes.going_back import gone_back, timed
from tests.kernel.mode_changes.stage import Stage, stage

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("agent"), "nftables") as made:
        yield made


@pytest.mark.parametrize(("old", "new"), [("ipvs", "nftables"), ("ipvs", "iptables"), ("iptables", "ipvs"), ("nftables", "ipvs")])
def test_a_node_goes_back_from_a_mode_that_is_held(made: Stage, old: str, new: str, record_property: Callable[[str, object], None]) -> None:
    gone_back(made, old, new, lambda: timed(made, old, record_property), record_property)
