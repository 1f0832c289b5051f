"""kubectl on a cluster: the one on PATH, which its administrator chose for it; else the one that belongs to local clusters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import binaries
from tests.cluster.command import run


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A program and the kubeconfig that it uses."""

    program: Path
    kubeconfig: Path

    def __call__(self, *words: str | Path, timeout_s: float = 120) -> str:
        """Run kubectl and return its output.

        Raises CommandError.
        """
        return run(self.program, "--kubeconfig", self.kubeconfig, *words, timeout_s=timeout_s)

    def get(self, kind: str, namespace: str, name: str) -> Mapping[str, Any]:
        """Return an object; an empty one if it does not exist."""
        found = self("get", kind, name, "--namespace", namespace, "--ignore-not-found", "-o", "json")
        return dict(json.loads(found)) if found else {}


def on_path(kubeconfig: Path) -> Kubectl:
    """Return the kubectl on PATH; without one, the local clusters' kubectl, which is built when it is not there yet."""
    found = shutil.which("kubectl")
    return Kubectl(Path(found) if found else binaries.ensure("kubernetes")["kubectl"], kubeconfig)
