"""The sockets that clients' traffic is redirected to: per family and protocol one for the cluster lists, and one for the local lists.

The agent holds them, the process inherits them: while the process is restarted, new connections wait in them.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
from collections.abc import Iterator, Mapping

from proxyconfig_agent.dataplane.userspace.model.entrances import PROTOCOLS, Entrance
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Listener
from proxyconfig_agent.dataplane.userspace.proxy.sockets import FAMILIES, KINDS
from proxyconfig_agent.ingest.model import ANY, Family, Protocol, text_of

BACKLOG = 4096
"""Connections that wait to be accepted; net.core.somaxconn may be less."""
_BUFFER = 1 << 20
"""Of a UDP socket, which all clients share."""


class Listeners:
    """In the network namespace of the thread that makes them, on ports that the kernel chooses. Raises OSError.

    A family that the kernel does not have is left out."""

    def __init__(self) -> None:
        self._sockets: dict[Entrance, socket.socket] = {}
        try:
            for entrance in itertools.starmap(Entrance, itertools.product(Family, PROTOCOLS, (False, True))):
                with _absent_family():
                    self._sockets[entrance] = _opened(entrance)
        except OSError:
            self.close()
            raise

    @property
    def ports(self) -> Mapping[Entrance, int]:
        return {entrance: int(each.getsockname()[1]) for entrance, each in self._sockets.items()}

    def inherited(self) -> tuple[Listener, ...]:
        """For the process; the descriptors are the same there."""
        return tuple(Listener(each.fileno(), *entrance) for entrance, each in self._sockets.items())

    def close(self) -> None:
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()


def _opened(entrance: Entrance) -> socket.socket:
    made = socket.socket(FAMILIES[entrance.family], KINDS[entrance.protocol])
    try:
        if entrance.family is Family.IPV6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((text_of(ANY[entrance.family]), 0))
        if entrance.protocol is Protocol.TCP:
            made.listen(BACKLOG)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    except OSError:
        made.close()
        raise
    return made


@contextlib.contextmanager
def _absent_family() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
