"""The name of a proxy process in its network namespace, for agents that did not start it: an abstract Unix socket, see unix(7)."""

from __future__ import annotations

ALL_SERVICES = "proxyconfig-userspace"
"""Processes of userspace mode."""
LOCALHOST = "proxyconfig-localhost"
"""Processes that serve NodePorts on loopback addresses in nftables mode."""
END = b"end\n"
"""What ends the process. It closes the connection when it is about to."""
RETIRE = b"retire\n"
"""Nothing leads to the process any more: it is to end with the last of its connections."""


def name_of(purpose: str, pid: int) -> str:
    """`purpose`: one of the two above."""
    return f"{purpose}/{pid}"


def address_of(name: str) -> str:
    return f"\0{name}"
