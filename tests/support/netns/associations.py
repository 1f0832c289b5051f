"""SCTP with sockets of the kernel, where it has them: it answers raw packets to its addresses itself, so `sctp.py` is of no use there.

Standard library only: `echo.py` and `probe.py` run with it inside pods too.
"""

from __future__ import annotations

import socket
import struct
from functools import cache

RTOINFO, SOL_SCTP = 0, 132
_RTOINFO = struct.Struct("=iIII")
"""struct sctp_rtoinfo: association, milliseconds until the first retransmission, and what bounds them."""
_FIRST_MS, _LONGEST_MS, _SHORTEST_MS = 1000, 3000, 1000


@cache
def are_there() -> bool:
    """Whether this kernel has SCTP sockets."""
    try:
        opened(socket.AF_INET).close()
    except OSError:
        return False
    return True


def opened(family: socket.AddressFamily) -> socket.socket:
    """A socket for one association, or one that listens for them.

    It sends again after a second instead of three: an ICMP error that arrives while a program is inside of connect() is not reported until
    the next one. Not sooner: connection tracking takes the answer to a second INIT for the right one, and the client the first.
    """
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    made.setsockopt(SOL_SCTP, RTOINFO, _RTOINFO.pack(0, _FIRST_MS, _LONGEST_MS, _SHORTEST_MS))
    return made


def source(address: str, port: int) -> str:
    """The node's own address towards this one.

    A socket that is not bound offers every address that its host has to the other end, which then sends to them past the translation.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((address, port))
        return str(sock.getsockname()[0])
