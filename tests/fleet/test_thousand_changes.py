"""One node changes its mode a thousand times while it is used."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from tests.fleet.waves import Record, nothing_lost
from tests.kernel.mode_changes.stage import stage
from tests.support.netns.flows import Told

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(7200)]

CHANGES = 1000


def test_a_thousand_changes_of_the_mode_lose_nothing(tmp_path: Path, record_property: Record) -> None:
    told = list[Told]()
    with stage(tmp_path, "nftables") as made, made.traffic(told):
        for number, mode in zip(range(CHANGES), itertools.cycle(("iptables", "nftables")), strict=False):
            made.agent.change(mode, holdPeriod="0s")
            if not number % 50:
                print(f"{number} changes", flush=True)
    nothing_lost(told, record_property)
