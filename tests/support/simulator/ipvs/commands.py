"""The commands of IPVS, decoded from their attributes by the kernel's own numbers (linux/ip_vs.h)."""

from __future__ import annotations

import socket
import sys
from typing import NamedTuple

from proxyconfig_agent.netlink import frames
from proxyconfig_agent.netlink.ipvs.messages import Command, Destination, Kind, Scheduling, VirtualServer

_SERVICE, _DEST = 1, 2  # IPVS_CMD_ATTR_
_MASQ = 0  # IP_VS_CONN_F_MASQ
_HASHED = 0x02  # IP_VS_SVC_F_HASHED


class Decoded(NamedTuple):
    """`scheduling`, `destination` and `weight` are those that the command names, if it does."""

    kind: Kind
    server: VirtualServer
    scheduling: Scheduling | None = None
    destination: Destination | None = None
    weight: int = 0


def decode(command: Command) -> Decoded:
    """Raises KeyError if an attribute is lacking."""
    found = dict(frames.attributes(command.payload))
    service = dict(frames.attributes(found[_SERVICE]))
    server = VirtualServer(_native(service[2]), _address(_native(service[1]), service[3]), int.from_bytes(service[4]))
    if _DEST not in found:
        return Decoded(command.kind, server, _scheduling(service) if 6 in service else None)
    dest = dict(frames.attributes(found[_DEST]))
    destination = Destination(_address(_native(dest[11]), dest[1]), int.from_bytes(dest[2]))
    if 4 not in dest:
        return Decoded(command.kind, server, destination=destination)
    assert _native(dest[3]) == _MASQ, "only masquerading (NAT) is known here"
    return Decoded(command.kind, server, destination=destination, weight=_native(dest[4]))


def _scheduling(service: dict[int, bytes]) -> Scheduling:
    flags, mask = _native(service[7][:4]), _native(service[7][4:])
    assert mask == 0xFFFFFFFF, "all flags are set at once"
    return Scheduling(service[6].rstrip(b"\0").decode(), flags & ~_HASHED, _native(service[8]))


def _address(family: int, octets: bytes) -> bytes:
    assert family in (socket.AF_INET, socket.AF_INET6)
    return octets[: 4 if family == socket.AF_INET else 16]


def _native(octets: bytes) -> int:
    return int.from_bytes(octets, sys.byteorder)
