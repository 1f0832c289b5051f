"""The commands of IPVS as payloads, and its answers as values. No sockets.

A command names a virtual server by protocol, address and port, and a destination by address and port. Addresses are packed: 4 or 16 bytes.
"""

from __future__ import annotations

import enum
import socket
import struct
from functools import lru_cache
from typing import NamedTuple

from proxyconfig_agent.netlink import genetlink, uapi
from proxyconfig_agent.netlink.frames import attribute, attributes, native16, native32, nested, text, text_of

_PORT = struct.Struct(">H")
_FLAGS = struct.Struct("=II")  # ip_vs_flags: flags, and which of them the command sets
_NUMBER = struct.Struct("=I")
_NUMBER16 = struct.Struct("=H")
_ALL_FLAGS = 0xFFFFFFFF
_UNION = 16  # an address of any family: union nf_inet_addr
_IPV4_SIZE = 4
_NETMASKS: dict[int, bytes] = {socket.AF_INET: b"\xff" * 4, socket.AF_INET6: _NUMBER.pack(128)}  # IPv6: the length of the prefix
_NO_THRESHOLDS = native32(uapi.IPVS_DEST_ATTR_U_THRESH, 0) + native32(uapi.IPVS_DEST_ATTR_L_THRESH, 0)
_MASQUERADE = native32(uapi.IPVS_DEST_ATTR_FWD_METHOD, uapi.IP_VS_CONN_F_MASQ)

MAX_WEIGHT = 0x7FFFFFFF


class Kind(enum.IntEnum):
    NEW_SERVICE = uapi.IPVS_CMD_NEW_SERVICE
    SET_SERVICE = uapi.IPVS_CMD_SET_SERVICE
    DELETE_SERVICE = uapi.IPVS_CMD_DEL_SERVICE
    NEW_DESTINATION = uapi.IPVS_CMD_NEW_DEST
    SET_DESTINATION = uapi.IPVS_CMD_SET_DEST
    DELETE_DESTINATION = uapi.IPVS_CMD_DEL_DEST
    SET_CONFIG = uapi.IPVS_CMD_SET_CONFIG


class VirtualServer(NamedTuple):
    """The key of an IPVS service. Port 0 without persistence is a catch-all: never send one."""

    protocol: int
    """IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP."""
    address: bytes
    port: int


class Scheduling(NamedTuple):
    """How a virtual server picks a destination."""

    scheduler: str
    """The kernel's name: rr, wrr, lc, …"""
    flags: int = 0
    """All 32 bits as they are (IP_VS_SVC_F_PERSISTENT, …); without IP_VS_SVC_F_HASHED, which the kernel sets itself."""
    timeout_s: int = 0
    """How long a persistent virtual server remembers a client."""


class Destination(NamedTuple):
    """The key of a destination within its virtual server."""

    address: bytes
    port: int


class Load(NamedTuple):
    """Of one destination."""

    weight: int
    active: int
    """Connections that are established."""
    inactive: int
    """Connections in any other state: TIME_WAIT, and all of UDP."""


class Timeouts(NamedTuple):
    """Of idle connections, in seconds, for all virtual servers of a network namespace. 0 in a command leaves a value as it is."""

    tcp_s: int = 0
    tcp_fin_s: int = 0
    udp_s: int = 0


class Command(NamedTuple):
    kind: Kind
    payload: bytes


def new_service(server: VirtualServer, scheduling: Scheduling) -> Command:
    """EEXIST: there is one; ENOENT: the kernel has no such scheduler."""
    return Command(Kind.NEW_SERVICE, nested(uapi.IPVS_CMD_ATTR_SERVICE, _key(server), _scheduling(server, scheduling)))


def set_service(server: VirtualServer, scheduling: Scheduling) -> Command:
    """Destinations and connections stay. ESRCH: there is none; ENOENT: the kernel has no such scheduler, and nothing is changed."""
    return Command(Kind.SET_SERVICE, nested(uapi.IPVS_CMD_ATTR_SERVICE, _key(server), _scheduling(server, scheduling)))


def delete_service(server: VirtualServer) -> Command:
    """With its destinations; all its connections end. ESRCH: there is none."""
    return Command(Kind.DELETE_SERVICE, nested(uapi.IPVS_CMD_ATTR_SERVICE, _key(server)))


def new_destination(server: VirtualServer, destination: Destination, weight: int) -> Command:
    """Reached by masquerading (NAT). EEXIST: there is one; ESRCH: no such virtual server; ERANGE: a weight above MAX_WEIGHT."""
    return Command(Kind.NEW_DESTINATION, _service(server) + _destination(destination, weight))


def set_destination(server: VirtualServer, destination: Destination, weight: int) -> Command:
    """Weight 0: no new connections, and those that exist go on. ENOENT: no such destination; ESRCH: no such virtual server."""
    return Command(Kind.SET_DESTINATION, _service(server) + _destination(destination, weight))


def delete_destination(server: VirtualServer, destination: Destination) -> Command:
    """Its connections end. ENOENT: no such destination; ESRCH: no such virtual server."""
    return Command(Kind.DELETE_DESTINATION, _service(server) + nested(uapi.IPVS_CMD_ATTR_DEST, _destination_key(destination)))


def set_timeouts(timeouts: Timeouts) -> Command:
    tcp = native32(uapi.IPVS_CMD_ATTR_TIMEOUT_TCP, timeouts.tcp_s) + native32(uapi.IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, timeouts.tcp_fin_s)
    return Command(Kind.SET_CONFIG, tcp + native32(uapi.IPVS_CMD_ATTR_TIMEOUT_UDP, timeouts.udp_s))


def listed_service(payload: bytes) -> tuple[VirtualServer, Scheduling] | None:
    """A message of the dump of services (IPVS_CMD_GET_SERVICE); None for a firewall-mark service, which has no address."""
    found = dict(attributes(genetlink.attributes(payload)[uapi.IPVS_CMD_ATTR_SERVICE]))
    if uapi.IPVS_SVC_ATTR_FWMARK in found:
        return None
    (family,) = _NUMBER16.unpack(found[uapi.IPVS_SVC_ATTR_AF])
    (protocol,) = _NUMBER16.unpack(found[uapi.IPVS_SVC_ATTR_PROTOCOL])
    address = found[uapi.IPVS_SVC_ATTR_ADDR][: _IPV4_SIZE if family == socket.AF_INET else _UNION]
    flags = _FLAGS.unpack(found[uapi.IPVS_SVC_ATTR_FLAGS])[0] & ~uapi.IP_VS_SVC_F_HASHED
    (timeout_s,) = _NUMBER.unpack(found[uapi.IPVS_SVC_ATTR_TIMEOUT])
    server = VirtualServer(protocol, address, int.from_bytes(found[uapi.IPVS_SVC_ATTR_PORT]))
    return server, Scheduling(text_of(found[uapi.IPVS_SVC_ATTR_SCHED_NAME]), flags, timeout_s)


def destinations_of(server: VirtualServer) -> bytes:
    """The question of a dump of destinations (IPVS_CMD_GET_DEST)."""
    return _service(server)


def listed_destination(payload: bytes) -> tuple[Destination, Load]:
    """A message of that dump."""
    found = dict(attributes(genetlink.attributes(payload)[uapi.IPVS_CMD_ATTR_DEST]))
    (family,) = _NUMBER16.unpack(found[uapi.IPVS_DEST_ATTR_ADDR_FAMILY])
    address = found[uapi.IPVS_DEST_ATTR_ADDR][: _IPV4_SIZE if family == socket.AF_INET else _UNION]
    kinds = (uapi.IPVS_DEST_ATTR_WEIGHT, uapi.IPVS_DEST_ATTR_ACTIVE_CONNS, uapi.IPVS_DEST_ATTR_INACT_CONNS)
    load = Load(*(_NUMBER.unpack(found[kind])[0] for kind in kinds))
    return Destination(address, int.from_bytes(found[uapi.IPVS_DEST_ATTR_PORT])), load


def listed_timeouts(payload: bytes) -> Timeouts:
    """The answer to IPVS_CMD_GET_CONFIG."""
    found = genetlink.attributes(payload)
    kinds = (uapi.IPVS_CMD_ATTR_TIMEOUT_TCP, uapi.IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, uapi.IPVS_CMD_ATTR_TIMEOUT_UDP)
    return Timeouts(*(_NUMBER.unpack(found[kind])[0] for kind in kinds))


def _family(address: bytes) -> int:
    return socket.AF_INET if len(address) == _IPV4_SIZE else socket.AF_INET6


def _key(server: VirtualServer) -> bytes:
    family = native16(uapi.IPVS_SVC_ATTR_AF, _family(server.address)) + native16(uapi.IPVS_SVC_ATTR_PROTOCOL, server.protocol)
    address = attribute(uapi.IPVS_SVC_ATTR_ADDR, server.address.ljust(_UNION, b"\0"))
    return family + address + attribute(uapi.IPVS_SVC_ATTR_PORT, _PORT.pack(server.port))


@lru_cache(maxsize=1)
def _service(server: VirtualServer) -> bytes:
    """The virtual server of a destination's command: many destinations of one follow each other."""
    return nested(uapi.IPVS_CMD_ATTR_SERVICE, _key(server))


def _scheduling(server: VirtualServer, scheduling: Scheduling) -> bytes:
    flags = attribute(uapi.IPVS_SVC_ATTR_FLAGS, _FLAGS.pack(scheduling.flags, _ALL_FLAGS))
    timeout = native32(uapi.IPVS_SVC_ATTR_TIMEOUT, scheduling.timeout_s)
    netmask = attribute(uapi.IPVS_SVC_ATTR_NETMASK, _NETMASKS[_family(server.address)])
    return text(uapi.IPVS_SVC_ATTR_SCHED_NAME, scheduling.scheduler) + flags + timeout + netmask


def _destination(destination: Destination, weight: int) -> bytes:
    how = _MASQUERADE + native32(uapi.IPVS_DEST_ATTR_WEIGHT, weight) + _NO_THRESHOLDS
    return nested(uapi.IPVS_CMD_ATTR_DEST, _destination_key(destination), how)


def _destination_key(destination: Destination) -> bytes:
    address = attribute(uapi.IPVS_DEST_ATTR_ADDR, destination.address.ljust(_UNION, b"\0"))
    port = attribute(uapi.IPVS_DEST_ATTR_PORT, _PORT.pack(destination.port))
    return address + port + native16(uapi.IPVS_DEST_ATTR_ADDR_FAMILY, _family(destination.address))
