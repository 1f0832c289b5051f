"""The cache outside the repository: what is expensive to make is made once per version, also when several runs want it at once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.progress import say


def root() -> Path:
    """Return the cache's folder: $PROXYCONFIG_CACHE, else proxyconfig in the user's cache folder."""
    if chosen := os.environ.get("PROXYCONFIG_CACHE"):
        return Path(chosen).resolve()
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home).resolve() / "proxyconfig"


def digest(parts: Iterable[bytes | str]) -> str:
    """Return a short name for these inputs: equal inputs, equal name."""
    hashed = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        hashed.update(len(encoded).to_bytes(8, "big") + encoded)
    return hashed.hexdigest()[:12]


def entry(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder kind/name of the cache; if it is missing, `make` fills an empty folder that then takes the name.

    The name appears only when `make` has succeeded, and only one run makes it: others wait and use it.
    """
    target = root() / kind / name
    if target.is_dir():
        return target
    with locked(target.parent / f".{name}.lock", f"{kind} {name}"):
        if not target.is_dir():
            _make_atomically(target, make)
    return target


def _make_atomically(target: Path, make: Callable[[Path], None]) -> None:
    unfinished = target.parent / f".{target.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed: we hold the lock, so nobody works in it
    unfinished.mkdir(parents=True)
    try:
        make(unfinished)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a file lock; print a line when another run holds it and we wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is making {what}: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
