"""The cgroups of a cluster's nodes, in version 1, hybrid and version 2 hierarchies alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.cluster.errors import ClusterError

ROOT = Path("/sys/fs/cgroup")


def version_2() -> bool:
    """Return whether the machine has the unified hierarchy alone."""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """Return the roots in which a node needs its cgroup."""
    if version_2():
        return [ROOT]
    mounted = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return sorted(Path(fields[1]) for fields in mounted if fields[2] == "cgroup")


def create(name: str) -> None:
    """Make a node's cgroup in every hierarchy, with all controllers and processors that the machine has."""
    for root in hierarchies():
        if version_2():
            _delegate(root)
        path = root / name
        path.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # version 1 starts with none, and then nothing may run in it
            if not version_2() and (root / file).exists():
                (path / file).write_text((root / file).read_text())


def _delegate(root: Path) -> None:
    controllers = (root / "cgroup.controllers").read_text().split()
    try:
        (root / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in controllers))
    except OSError as error:
        advice = "In a container, give it a private cgroup namespace whose root has no processes, or use the machine itself."
        raise ClusterError(f"{root}/cgroup.subtree_control: {error.strerror}: nodes cannot get cgroups. {advice}") from error


def of(number: int) -> list[Path]:
    """Return the cgroups of a cluster that exist, the innermost first."""
    roots = (*hierarchies(), *(path for path in (ROOT / "unified",) if path.is_dir()))
    tops = (top for root in roots for top in root.glob(f"pxc{number}-*"))
    return sorted((path for top in tops for path in _tree(top)), key=lambda path: len(path.parts), reverse=True)


def members(path: Path) -> list[int]:
    """Return the processes in one cgroup."""
    try:
        return [int(word) for word in (path / "cgroup.procs").read_text().split()]
    except OSError:
        return []  # removed meanwhile, or a threaded cgroup: then its parent names the process


def _tree(top: Path) -> Iterator[Path]:
    yield top
    yield from (path for path in top.rglob("*") if path.is_dir())
