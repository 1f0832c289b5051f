"""Sets of ip_set, and whether a packet is in one: `-m set --match-set NAME dst,dst,src`."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.netlink.ipset_messages import Entry

Directions: TypeAlias = tuple[str, ...]
"""For each part of an entry `src` or `dst`: of which end of the packet it is."""


class InSet(Struct, frozen=True):
    """A match, by the name of the set."""

    name: str
    directions: Directions
    inverted: bool

    def is_met(self, packet: Packet, sets: Mapping[str, IpSet]) -> bool:
        """Raises ValueError for a set that is not known here."""
        if self.name not in sets:
            raise ValueError(f"--match-set {self.name}: no such set is known here")
        return sets[self.name].has(packet, self.directions) is not self.inverted


class IpSet:
    """A set with its entries; they do not change."""

    def __init__(self, kind: str, entries: Iterable[Entry]) -> None:
        """`kind`: `hash:ip`, `hash:ip,port`, …"""
        self._kind = kind
        self._parts = kind.partition(":")[2].split(",")
        self._entries = frozenset(entries)
        self._networks = _networks(self._entries) if kind == "hash:ip,port,net" else {}

    def has(self, packet: Packet, directions: Directions) -> bool:
        """As in the kernel, nothing is in a set for which too few directions are given. Raises ValueError for other kinds of sets."""
        if len(directions) < len(self._parts):
            return False
        match self._kind:
            case "hash:ip":
                return Entry(_address(packet, directions[0])) in self._entries
            case "bitmap:port":
                return Entry(b"", 0, _port(packet, directions[0])) in self._entries
            case "hash:ip,port":
                return self._first_two(packet, directions) in self._entries
            case "hash:ip,port,ip":
                return self._first_two(packet, directions)._replace(source=_address(packet, directions[2])) in self._entries
            case "hash:ip,port,net":
                third = ipaddress.ip_address(_address(packet, directions[2]))
                return any(third in network for network in self._networks.get(self._first_two(packet, directions), ()))
        raise ValueError(f"a set of type {self._kind} is not known here")

    @staticmethod
    def _first_two(packet: Packet, directions: Directions) -> Entry:
        return Entry(_address(packet, directions[0]), packet.protocol, _port(packet, directions[1]))


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def in_set(values: Sequence[str], *, inverted: bool) -> InSet:
    """Of the name of a set and its directions. Raises ValueError."""
    name, directions = values
    return InSet(name, tuple(directions.split(",")), inverted)


def _networks(entries: Iterable[Entry]) -> Mapping[Entry, Sequence[Network]]:
    """By address and port."""
    found: defaultdict[Entry, list[Network]] = defaultdict(list)
    for entry in entries:
        network = ipaddress.ip_network((entry.source, entry.source_bits))
        found[entry._replace(source=b"", source_bits=0)].append(network)
    return found


def _address(packet: Packet, direction: str) -> bytes:
    return packet.source if direction == "src" else packet.destination


def _port(packet: Packet, direction: str) -> int:
    return packet.source_port if direction == "src" else packet.port
