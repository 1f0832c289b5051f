"""Records in a file that the rules of this network namespace are an agent's, and of which mode: the chains do not show it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from proxyconfig_api.objects.names import STATE_FOLDER


class Ownership:
    """The file is named after the namespace of the thread that makes this; /run is empty after a boot, as the tables are.

    `owner`: a mode. What one mode has claimed is not another's."""

    def __init__(self, directory: Path = Path(STATE_FOLDER), owner: str = "iptables") -> None:
        self._owner = owner
        self._path = directory / f"iptables-{os.stat('/proc/thread-self/ns/net').st_ino}"

    def __bool__(self) -> bool:
        """Whether the rules are those of `owner`."""
        try:
            return self._path.read_text() == self._owner
        except OSError:
            return False

    def claim(self) -> str:
        """The rules are ours from now on. Returns what is wrong if this cannot be recorded: another mode would leave them in force."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(self._owner)
        except OSError as error:
            return (
                f"{self._path} cannot be written ({error.strerror}): another mode would not remove the rules of iptables mode; "
                f"make {self._path.parent} writable for the agent"
            )
        return ""

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
