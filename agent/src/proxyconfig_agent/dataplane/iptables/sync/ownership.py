"""Remembers in a file that the rules of this network namespace are an agent's: the chains do not tell, as they are kube-proxy's."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from proxyconfig_agent.node.procsys import STATE


class Ownership:
    """The file is named after the namespace of the thread that makes this; /run is empty after a boot, as the tables are."""

    def __init__(self, directory: Path = STATE) -> None:
        self._path = directory / f"iptables-{os.stat('/proc/thread-self/ns/net').st_ino}"

    def __bool__(self) -> bool:
        return self._path.exists()

    def claim(self) -> str:
        """The rules are ours from now on. Returns what is wrong if this cannot be recorded: another mode would leave them in force."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            return (
                f"{self._path} cannot be written ({error.strerror}): another mode would not remove the rules of iptables mode; "
                f"make {self._path.parent} writable for the agent"
            )
        return ""

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
