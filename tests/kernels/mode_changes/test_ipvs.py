"""Every change of the mode from and to ipvs; the others are in tests/kernel/mode_changes. No part of `make kernels`, as it takes minutes:

python -m tests.kernels run complete -- .venv/bin/pytest -p no:cacheprovider tests/kernels/mode_changes
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from tests.kernel.mode_changes.changes import changed
from tests.kernel.mode_changes.stage import Stage, stage

pytestmark = pytest.mark.timeout(1800)

WALK = ("nftables", "ipvs", "iptables", "ipvs", "userspace", "ipvs", "nftables")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("agent"), WALK[0]) as made:
        yield made


@pytest.mark.parametrize(("old", "new"), [*itertools.pairwise(WALK)])
def test_a_change_of_the_mode_loses_nothing_and_leaves_nothing(
    made: Stage, old: str, new: str, record_property: Callable[[str, object], None]
) -> None:
    changed(made, old, new, record_property)
