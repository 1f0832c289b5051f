"""What /proc/net/ip_vs says: every virtual server with its destinations, weights and numbers of connections, in one read; and what
/proc/net/ip_vs_conn says: every connection.

Netlink has no dump of all destinations. The text lacks a virtual server's scheduling but for the scheduler: Connection.services has it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from proxyconfig_agent.netlink.ipvs.messages import Destination, Load, VirtualServer

# A thread may be in a network namespace that is not the process's.
PATH = Path("/proc/thread-self/net/ip_vs")
_CONNECTIONS = Path("/proc/thread-self/net/ip_vs_conn")
_PROTOCOLS = {"TCP": socket.IPPROTO_TCP, "UDP": socket.IPPROTO_UDP, "SCTP": socket.IPPROTO_SCTP}
_DESTINATION = "->"
_new = tuple.__new__  # the constructor of a NamedTuple takes five times as long


Destinations = dict[Destination, Load]
Connection = tuple[int, tuple[bytes, int], tuple[bytes, int]]
"""Protocol, client, and virtual server."""


def read() -> dict[VirtualServer, Destinations]:
    """Of the calling thread's network namespace. Raises OSError (ENOENT: IPVS is not loaded)."""
    with PATH.open() as lines:
        return parse(lines)


def parse(lines: Iterable[str]) -> dict[VirtualServer, Destinations]:
    """Firewall-mark services, and virtual servers of protocols that Services do not have, are left out."""
    found: dict[VirtualServer, Destinations] = {}
    destinations: Destinations = {}
    loads: dict[tuple[str, ...], Load] = {}  # most destinations have the same
    for line in lines:
        words = line.split()
        if words[0] == _DESTINATION:
            if words[1] != "RemoteAddress:Port":
                numbers = tuple(words[3:])
                if (load := loads.get(numbers)) is None:
                    load = loads[numbers] = Load(*map(int, numbers))
                destinations[_new(Destination, _endpoint(words[1]))] = load
        elif words[0] in _PROTOCOLS:
            destinations = found[VirtualServer(_PROTOCOLS[words[0]], *_endpoint(words[1]))] = {}
        else:
            destinations = {}
    return found


def connections() -> Iterator[Connection]:
    """Of the calling thread's network namespace. Raises OSError."""
    with _CONNECTIONS.open() as lines:
        yield from parse_connections(lines)


def parse_connections(lines: Iterable[str]) -> Iterator[Connection]:
    """Those of protocols that Services have."""
    for line in lines:
        protocol, *words = line.split()
        if protocol in _PROTOCOLS:
            client, server = (_endpoint(f"{address}:{port}") for address, port in zip(words[0:4:2], words[1:4:2], strict=True))
            yield _PROTOCOLS[protocol], client, server


def _endpoint(text: str) -> tuple[bytes, int]:
    """0A600001:0050, or [fd00:0000:…:0001]:0050."""
    address, _, port = text.rpartition(":")
    packed = bytes.fromhex(address.strip("[]").replace(":", ""))
    return packed, int(port, 16)
