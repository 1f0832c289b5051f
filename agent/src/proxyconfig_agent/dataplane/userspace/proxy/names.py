"""The name of a proxy process in its network namespace, for agents that did not start it: an abstract Unix socket, see unix(7)."""

from __future__ import annotations

PREFIX = "proxyconfig-userspace/"
END = b"end\n"
"""What ends the process. It closes the connection when it is about to."""


def name_of(pid: int) -> str:
    return f"{PREFIX}{pid}"


def address_of(name: str) -> str:
    return f"\0{name}"
