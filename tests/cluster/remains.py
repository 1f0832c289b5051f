"""Ending clusters, whole ones and what a crashed run left; and proving that nothing is left.

Everything of a cluster lies in namespaces, cgroups, a link and a folder that carry its number: nothing is found by a program's name.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import cgroups, machine, network, registry
from tests.cluster.command import run
from tests.cluster.errors import ClusterError
from tests.cluster.process import Process, start_time
from tests.cluster.progress import say


def remove(entry: registry.Entry) -> None:
    """End everything of a cluster at once, and delete its folder. Its state is thrown away, so nobody is asked to shut down in order.

    Raises ClusterError with what could not be removed.
    """
    end_processes(entry.number)
    for mount in mounts(entry.folder):
        run("umount", "--lazy", mount)
    for path in cgroups.of(entry.number):
        path.rmdir()
    network.delete_link(entry.number)
    for name in network.namespaces_of(entry.number):
        network.delete_namespace(name)
    shutil.rmtree(entry.folder, ignore_errors=True)
    left = list(found(entry.number, entry.folder))
    if left:
        raise ClusterError(
            f"cluster {entry.number} ({entry.folder}) could not be removed completely:\n" + "\n".join(f"    {line}" for line in left)
        )
    entry.release()
    if not any(other.nodes for other in registry.entries()):
        machine.restore()


def end_processes(number: int) -> None:
    """Kill every process of a cluster and wait until it is gone."""
    while running := list(processes(number)):  # again, because a process may start another while we look
        for process in running:
            process.signal(signal.SIGKILL)
        for process in running:
            process.wait(30)


def sweep() -> None:
    """Remove what crashed runs left on this machine."""
    if not any(entry.abandoned() for entry in registry.entries()):
        return
    # One run at a time: a number that another one has just freed may be a new cluster's by now.
    with registry.one_at_a_time("sweep"):
        _remove_abandoned()


def _remove_abandoned() -> None:
    for entry in registry.entries():
        if entry.abandoned():
            say(f"an earlier run did not clean up cluster {entry.number} ({entry.folder}): removing what it left")
            remove(entry)


def found(number: int, folder: Path | None = None) -> Iterator[str]:
    """Tell everything that exists of a cluster, one line each; nothing means that nothing is left."""
    for process in processes(number):
        yield f"process {process.pid} ({process.name})"
    if network.link_exists(number):
        yield f"link pxc{number}"
    yield from (f"network namespace {name}" for name in network.namespaces_of(number))
    yield from (f"cgroup {path}" for path in cgroups.of(number) if path.name.startswith(f"pxc{number}-"))  # with what is in them
    if folder is not None:
        yield from (f"mount {mount}" for mount in mounts(folder))
        if folder.exists():
            yield f"folder {folder}"


def processes(number: int) -> Iterator[Process]:
    """Return the processes that run in a cluster's network namespaces or cgroups."""
    inodes = {os.stat(network.NAMESPACES / name).st_ino for name in network.namespaces_of(number)}
    in_cgroups = {pid for path in cgroups.of(number) for pid in cgroups.members(path)}
    if not inodes and not in_cgroups:
        return
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        started = start_time(pid)
        if started is not None and (pid in in_cgroups or _network_of(pid) in inodes):
            yield Process(_name_of(pid), pid, started, Path(os.devnull))


def mounts(folder: Path) -> list[str]:
    """Return the mount points below a folder, the innermost first."""
    points = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def _network_of(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None  # ended meanwhile


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ended"
