"""The Python that the measured agent runs in: what its image holds (requirements/agent.txt), and nothing of the tests' tools.

Some packages import others if they are there, so an agent in the developers' environment is slower and larger than the real one. A
Python that was compiled here without optimization takes a quarter longer for everything than those of distributions and images.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tests.cluster import cache
from tests.cluster.command import run
from tests.cluster.progress import say

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile.agent"
LOCKED = ROOT / "requirements" / "agent.txt"
_OF_DISTRIBUTION = Path("/usr/bin/python3")
"""What the base image of the local clusters has, too."""
SOURCES = tuple(ROOT / package / "src" for package in ("api", "client", "agent"))


def ready_python() -> Path:
    """Return an interpreter that has what the agent needs; its bytecode is compiled, as in the image."""
    of = _python()
    version = run(of, "-c", "import platform; print(platform.python_version())").strip()
    name = f"{version}-{platform.machine()}-{cache.digest([LOCKED.read_bytes(), str(of)])}"
    python = cache.entry("agent-python", name, partial(_make, of)) / "bin" / "python"
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


def _python() -> Path:
    """The distribution's, if an agent can run in it; else the one that runs this."""
    fit = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
    is_fit = _OF_DISTRIBUTION.exists() and not subprocess.run([_OF_DISTRIBUTION, "-c", fit], capture_output=True, check=False).returncode
    return _OF_DISTRIBUTION if is_fit else Path(sys.executable)


def _make(python: Path, folder: Path) -> None:
    say("installing the agent's locked packages, once")
    run(python, "-m", "venv", folder)
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
