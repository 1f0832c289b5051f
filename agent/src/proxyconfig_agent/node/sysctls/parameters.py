"""The node's parameters by name: sysctls, and the timeouts of IPVS, which belong to the network namespace as well, but are no files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from proxyconfig_agent.dataplane.ipvs.mode import TIMEOUTS
from proxyconfig_agent.node.sysctls.procsys import ProcSys

if TYPE_CHECKING:
    from proxyconfig_agent.netlink.ipvs.connection import Connection


class NodeParameters:
    """Sysctls under `root` as in ProcSys. Both methods raise OSError with the kernel's errno; ENOENT for a timeout: there is no IPVS."""

    def __init__(self, root: Path | None = None) -> None:
        self._sysctls = ProcSys(root)

    def read(self, name: str) -> str:
        return _timeout(name) if name in TIMEOUTS else self._sysctls.read(name)

    def write(self, name: str, value: str) -> None:
        if name in TIMEOUTS:
            _set_timeout(name, int(value))
        else:
            self._sysctls.write(name, value)


def _timeout(name: str) -> str:
    with _ipvs() as kernel:
        return str(kernel.timeouts()[TIMEOUTS.index(name)])


def _set_timeout(name: str, seconds: int) -> None:
    from proxyconfig_agent.netlink.ipvs import messages  # noqa: PLC0415 - costs memory in other modes

    timeouts = messages.Timeouts(*(seconds if each == name else 0 for each in TIMEOUTS))
    with _ipvs() as kernel:
        for refusal in kernel.commit([messages.set_timeouts(timeouts)]):
            raise OSError(refusal.number, os.strerror(refusal.number))


@contextlib.contextmanager
def _ipvs() -> Iterator[Connection]:
    from proxyconfig_agent.netlink.ipvs.connection import Connection  # noqa: PLC0415 - costs memory in other modes

    with contextlib.closing(Connection()) as kernel:
        yield kernel
