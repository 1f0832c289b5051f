"""A node on another kernel, and what can be asked of it where nft or iptables may not work."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from tests.support.netns.namespace import Namespace
from tests.support.netns.programs import ROOT


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What `--cleanup` came to."""

    status: int
    printed: tuple[str, ...]
    errors: str


@dataclass(frozen=True, slots=True)
class Node:
    """A network namespace of the kernel that runs."""

    space: Namespace

    def clean_up(self) -> CleanUp:
        """Run the agent's `--cleanup`."""
        argv = self.space.argv(sys.executable, "-m", "proxyconfig_agent", "--cleanup")
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
        return CleanUp(done.returncode, tuple(done.stdout.splitlines()), done.stderr)
