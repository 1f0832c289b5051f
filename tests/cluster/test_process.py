"""Components are started detached, stopped by identity, and their failures say what happened."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.cluster.errors import ComponentError, ToolMissingError
from tests.cluster.process import remembered, start
from tests.cluster.registry import Entry


def test_a_component_that_ends_is_named_with_its_last_lines_and_advice(tmp_path: Path) -> None:
    process = start("etcd", ["sh", "-c", "echo disk is full; exit 1"], tmp_path)
    with pytest.raises(ComponentError, match=r"etcd ended while it started(?s:.*)disk is full(?s:.*)What to do: make room"):
        process.ready_when(lambda: False, 60, "make room")


def test_a_component_that_is_not_ready_in_time_is_named(tmp_path: Path) -> None:
    process = start("kubelet", ["sleep", "60"], tmp_path)
    with pytest.raises(ComponentError, match="kubelet was not ready within 0 s"):
        process.ready_when(lambda: False, 0.1, "wait longer")
    process.stop(grace_s=0)


def test_a_program_that_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="packages"):
        start("x", ["no-such-program"], tmp_path)


def test_a_later_run_finds_and_stops_what_an_earlier_one_started(tmp_path: Path) -> None:
    start("a", ["sleep", "60"], tmp_path)
    (found,) = remembered(tmp_path)
    assert found.alive()
    found.stop()
    assert not found.alive()


def test_what_ignores_a_polite_request_is_ended_by_force(tmp_path: Path) -> None:
    process = start("stubborn", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"], tmp_path)
    process.ready_when(lambda: "up" in process.log.read_text(), 60, "")
    process.stop(grace_s=0.2)
    assert not process.alive()


def test_another_process_with_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    process = start("a", ["sleep", "60"], tmp_path)
    dataclasses.replace(process, started=process.started - 1).stop(grace_s=0.1)
    assert process.alive()
    process.stop(grace_s=0)


def test_an_entry_is_abandoned_when_its_owner_died_or_its_folder_is_gone(tmp_path: Path) -> None:
    owner = start("owner", ["sleep", "60"], tmp_path)
    entry = Entry(1, tmp_path, nodes=False, owner=owner.pid, owner_started=owner.started)
    assert not entry.abandoned()
    owner.stop(grace_s=0)
    assert entry.abandoned()
    alone = dataclasses.replace(entry, owner=None)
    assert not alone.abandoned()
    assert dataclasses.replace(alone, folder=tmp_path / "gone").abandoned()
