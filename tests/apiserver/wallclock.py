"""A wrong wall clock for one process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


def wrong_by(seconds: int, folder: Path) -> Mapping[str, str]:
    """The environment for a process whose wall clock is so far ahead of ours; `folder` gets a library."""
    library = folder / "wallclock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, SOURCE], check=True, timeout=60)
    return {**os.environ, "LD_PRELOAD": str(library), "WALLCLOCK_S": str(seconds)}
