"""The Python that the measured agent runs in: what its image holds (requirements/agent.txt), and nothing of the tests' tools.

Some packages import others if they are there, so an agent in the developers' environment is slower and larger than the real one.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import cache
from tests.cluster.command import run
from tests.cluster.progress import say

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile.agent"
LOCKED = ROOT / "requirements" / "agent.txt"
SOURCES = tuple(ROOT / package / "src" for package in ("api", "client", "agent"))


def ready_python() -> Path:
    """Return an interpreter that has what the agent needs; its bytecode is compiled, as in the image."""
    name = f"{platform.python_version()}-{platform.machine()}-{cache.digest([LOCKED.read_bytes()])}"
    python = cache.entry("agent-python", name, _make) / "bin" / "python"
    run(python, "-m", "compileall", "-q", *SOURCES)
    return python


def variables() -> Mapping[str, str]:
    """Return the environment of the agent: what its image gives it."""
    own = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": os.pathsep.join(map(str, SOURCES))}
    return variables_of(DOCKERFILE.read_text()) | own


def variables_of(dockerfile: str) -> dict[str, str]:
    """Return what the ENV lines of a Dockerfile set."""
    words = [word for line in dockerfile.splitlines() if line.startswith("ENV ") for word in shlex.split(line)[1:]]
    return dict(word.split("=", 1) for word in words)


def _make(folder: Path) -> None:
    say("installing the agent's locked packages, once")
    run(sys.executable, "-m", "venv", folder)
    run(
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        LOCKED,
        timeout_s=600,
    )
