"""Which clusters exist on this machine: a number for each, reserved by a file below /run, gone after a reboot as the cluster is.

The number makes every name and address of a cluster its own. An entry whose owner died before the cluster was complete is a crashed run.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.process import start_time

FOLDER = Path("/run/proxyconfig-cluster")
NUMBERS = range(1, 251)


@dataclass(frozen=True, slots=True)
class Entry:
    """One cluster: its number and folder, whether it has nodes, and the process that must live for it to be of use (None: stands alone)."""

    number: int
    folder: Path
    nodes: bool
    owner: int | None
    owner_started: int | None

    def abandoned(self) -> bool:
        """Return whether nobody can be using it: its owner died, or its folder was deleted."""
        if self.owner is not None:
            return start_time(self.owner) != self.owner_started
        return not self.folder.exists()

    def keep(self) -> None:
        """Let the cluster outlive this process."""
        _write(replace(self, owner=None, owner_started=None))

    def release(self) -> None:
        """Give the number back."""
        _file(self.number).unlink(missing_ok=True)


def reserve(folder: Path, *, nodes: bool = False) -> Entry:
    """Return a new entry with a number that no other cluster has; it is ours as long as this process lives."""
    FOLDER.mkdir(exist_ok=True)
    for number in NUMBERS:
        try:
            descriptor = os.open(_file(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            continue
        os.close(descriptor)
        made = Entry(number, folder, nodes, os.getpid(), start_time(os.getpid()))
        _write(made)
        return made
    raise ClusterError(f"{len(NUMBERS)} clusters exist already. `python3 -m tests.cluster leftovers` lists them; end some.")


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Keep other processes of this machine out of this section meanwhile."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def entries() -> Iterator[Entry]:
    """Return every cluster of this machine."""
    for file in sorted(FOLDER.glob("*.json")):
        try:
            kept = json.loads(file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            continue  # just released, or just being reserved
        yield Entry(int(file.stem), Path(kept["folder"]), kept.get("nodes", False), kept["owner"], kept["owner_started"])


def find(folder: Path) -> Entry | None:
    """Return the entry of the cluster in this folder."""
    return next((entry for entry in entries() if entry.folder == folder), None)


def _file(number: int) -> Path:
    return FOLDER / f"{number}.json"


def _write(entry: Entry) -> None:
    unfinished = _file(entry.number).with_suffix(".unfinished")
    unfinished.write_text(
        json.dumps({"folder": str(entry.folder), "nodes": entry.nodes, "owner": entry.owner, "owner_started": entry.owner_started})
    )
    unfinished.rename(_file(entry.number))
