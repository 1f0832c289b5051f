"""One UDP flow, as long as the process has it."""

from __future__ import annotations

import socket

from msgspec import Struct, field

from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import ServicePort

ANSWER_S = 5.0
"""An endpoint has at least so long to answer, however short the idle time: resolvers wait as long."""

Client = tuple[str, int]


class IdleTime(Struct):
    """How long a flow may pause."""

    seconds: float = 0.25


class Flow(Struct):
    client: Client
    local: bytes
    """The address that the client's datagrams arrive at, packed."""
    destination: bytes
    """What the client sent them to."""
    port: ServicePort
    used: float
    socket: socket.socket | None = None
    endpoint: bytes = b""
    unanswered: bytes = b""
    """The last datagram, as long as the endpoint has not answered any."""
    tried: tuple[bytes, ...] = field(default=())
    is_waiting: bool = True
    """The client sent last."""

    def ends(self, idle_s: float) -> float:
        """When it has paused for long enough."""
        return self.used + (max(idle_s, ANSWER_S) if self.is_waiting else idle_s)
