"""Rules have an owner on record before the first of them is written, also for a process that is killed halfway."""

from __future__ import annotations

from tests.support.simulator.iptables.mode import IptablesMode

from proxyconfig_agent.dataplane.port import Settings


def test_ownership_is_claimed_before_the_first_commit_and_released_after_the_removal() -> None:
    mode = IptablesMode()
    owned: list[bool] = []
    mode.observe(lambda: owned.append(bool(mode.dataplane.ownership)), lambda: None)
    mode.dataplane.resync(Settings(), [])
    assert owned
    assert all(owned)
    owned.clear()
    mode.dataplane.remove()
    assert all(owned)
    assert not mode.dataplane.ownership
