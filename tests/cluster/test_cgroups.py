"""Cgroups of nodes where the machine has the unified hierarchy alone. The clusters of other tests use what the machine has."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster import cgroups
from tests.cluster.errors import ClusterError


@pytest.fixture
def unified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with the files of a root cgroup of version 2."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").touch()
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path


def test_a_node_gets_one_cgroup_with_every_controller(unified: Path) -> None:
    cgroups.create("pxc7-node-1")
    assert (unified / "cgroup.subtree_control").read_text() == "+cpuset +cpu +io +memory +pids"
    assert cgroups.of(7) == [unified / "pxc7-node-1"]


def test_cgroups_are_listed_innermost_first_and_by_cluster(unified: Path) -> None:
    cgroups.create("pxc7-node-1")
    cgroups.create("pxc70-node-1")
    inner = unified / "pxc7-node-1" / "kubepods" / "pod1"
    inner.mkdir(parents=True)
    assert cgroups.of(7) == [inner, inner.parent, inner.parent.parent]


def test_members_are_pids_and_a_cgroup_that_is_gone_has_none(unified: Path) -> None:
    (unified / "cgroup.procs").write_text("1\n42\n")
    assert cgroups.members(unified) == [1, 42]
    assert cgroups.members(unified / "gone") == []


def test_controllers_that_cannot_be_handed_on_are_told_with_advice(unified: Path) -> None:
    (unified / "cgroup.subtree_control").unlink()
    (unified / "cgroup.subtree_control").mkdir()
    with pytest.raises(ClusterError, match=r"cgroup\.subtree_control: .* nodes cannot get cgroups"):
        cgroups.create("pxc7-node-1")
