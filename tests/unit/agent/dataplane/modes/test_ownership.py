"""Whose the rules are is recorded beside them; where that is impossible, the node reports it."""

from __future__ import annotations

from pathlib import Path

from proxyconfig_agent.dataplane.modes.ownership import Ownership


def test_what_is_claimed_is_known_to_the_next_agent_until_it_is_released(tmp_path: Path) -> None:
    assert not Ownership(tmp_path / "state")
    assert Ownership(tmp_path / "state").claim() == ""
    assert Ownership(tmp_path / "state")
    Ownership(tmp_path / "state").release()
    assert not Ownership(tmp_path / "state")


def test_a_claim_that_cannot_be_recorded_says_so_and_names_the_fix(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, where a directory has to be")
    trouble = Ownership(tmp_path / "state").claim()
    assert "cannot be written (File exists)" in trouble
    assert trouble.endswith(f"make {tmp_path / 'state'} writable for the agent")
