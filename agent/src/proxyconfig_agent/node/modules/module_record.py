"""What the init container made of the modules, in a file that it leaves to the agent, which may not load any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from proxyconfig_agent.node.sysctls.procsys import STATE

FILE = "modules.json"
"""In STATE. Modules are the machine's, whatever the network namespace; /run is empty after a boot, as the kernel is."""

_log = structlog.get_logger("modules")


class Record(msgspec.Struct, frozen=True):
    loaded: tuple[str, ...] = ()
    """Those that an init container has loaded since the boot, in order; they stay when the node's proxy is removed."""
    failures: dict[str, str] = {}
    """modprobe's words about those that it could not load at the last start of a pod."""

    def after(self, tried: Mapping[str, str]) -> Record:
        """The record after an init container has tried these, each with the words about its failure, or none."""
        loaded = (*self.loaded, *(name for name, words in tried.items() if not words))
        return Record(tuple(dict.fromkeys(loaded)), {name: words for name, words in tried.items() if words})


def load(directory: Path = STATE) -> Record:
    """What is recorded; nothing if it cannot be read."""
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=Record)
    except FileNotFoundError:
        return Record()
    except (OSError, msgspec.MsgspecError) as error:
        _log.warning("record of modules unreadable", file=str(directory / FILE), error=str(error))
        return Record()


def save(record: Record, directory: Path = STATE) -> None:
    """Replace the file in one step. A failure is logged: the agent then says less of the modules."""
    path = directory / FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        scratch.write_bytes(msgspec.json.encode(record))
        scratch.replace(path)
    except OSError as error:
        _log.warning("modules not recorded", file=str(path), error=error.strerror)
