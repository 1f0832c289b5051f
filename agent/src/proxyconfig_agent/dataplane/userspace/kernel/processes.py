"""Proxy processes in this network namespace, of whichever agent: those that serve, and those that wait for their connections to end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from proxyconfig_agent.dataplane.modes import traces
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.dataplane.userspace.proxy.control.names import ALL_SERVICES, END, RETIRE, address_of

_PATIENCE_S = 10.0
_PAUSE_S = 0.02


def found(purpose: str = ALL_SERVICES) -> list[str]:
    """The names of those that have this purpose (`proxy.control.names`). Raises OSError."""
    return traces.processes(purpose)


class Retirement:
    """Nothing leads to them any more: each ends with its last connection."""

    def __init__(self, purpose: str = ALL_SERVICES) -> None:
        """Raises OSError."""
        self._purpose, self._begun = purpose, time.monotonic()
        call(RETIRE, purpose)

    def step(self, drain_s: float) -> bool:
        """End what is left after so long; whether all have ended. Raises DataplaneError and OSError."""
        if time.monotonic() >= self._begun + drain_s:
            end(self._purpose)
        return not found(self._purpose)


def call(word: bytes, purpose: str = ALL_SERVICES) -> None:
    """Return when all of them have begun with it (`proxy.control.names`). Raises OSError."""
    for name in found(purpose):
        _call(name, word)


def end(purpose: str = ALL_SERVICES) -> None:
    """End them all, with their connections. Raises DataplaneError if one does not end."""
    call(END, purpose)
    deadline = time.monotonic() + _PATIENCE_S
    while left := found(purpose):
        if time.monotonic() > deadline:
            raise DataplaneError(f"userspace: {', '.join(left)} has not ended after {_PATIENCE_S:g} s; end the process with that number")
        time.sleep(_PAUSE_S)


def lines(purpose: str = ALL_SERVICES) -> Iterator[str]:
    """One per process, for a scan."""
    return (f"process {name}" for name in found(purpose))


def _call(name: str, word: bytes) -> None:
    """One that is gone by now is fine."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(_PATIENCE_S)
        try:
            caller.connect(address_of(name))
            caller.sendall(word)
            caller.recv(1)
        except OSError:
            return
