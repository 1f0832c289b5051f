"""The name of a proxy process in its network namespace, for agents that did not start it: an abstract Unix socket, see unix(7)."""

from __future__ import annotations

ALL_SERVICES = "proxyconfig-userspace"
"""Processes of userspace mode."""
LOCALHOST = "proxyconfig-localhost"
"""Processes that serve NodePorts on loopback addresses in nftables mode."""
END = b"end\n"
"""What ends the process. It closes the connection when it is about to, and no UDP flow leads there any more; no rule may."""
RETIRE = b"retire\n"
"""No rule leads to the process any more. It closes the connection when no UDP flow does but those whose client waits for an answer, and
ends with the last of its connections."""


def name_of(purpose: str, pid: int) -> str:
    """`purpose`: one of the two above."""
    return f"{purpose}/{pid}"


def address_of(name: str) -> str:
    return f"\0{name}"
