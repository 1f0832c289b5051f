"""The first packet of a connection, and what conntrack knows of that connection."""

from __future__ import annotations

import struct

from msgspec import Struct

from proxyconfig_agent.netlink.ipvs.messages import VirtualServer

LOOPBACK_DEVICE = "lo"


class Packet(Struct):
    """It changes on its way. `protocol` is the kernel's number, addresses are packed, devices are names."""

    family: int
    protocol: int
    source: bytes
    destination: bytes
    source_port: int
    port: int
    came_in: str = ""
    """Empty: the node itself made it."""
    goes_out: str = ""
    mark: int = 0
    priority: int = 0
    translated: bool = False
    """By conntrack's status: the destination is another than the client asked for."""
    asked_for: bytes = b""
    """What the client asked for, if it is translated: address, then port (2 bytes, big-endian)."""
    virtual_server: VirtualServer | None = None
    """The one for which IPVS has chosen the destination."""
    masqueraded: bool = False
    destination_settled: bool = False
    """Chains of type nat are asked once for a connection's destination, and once for its source."""
    source_settled: bool = False

    @property
    def network_header(self) -> bytes:
        if self.family == 4:
            return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, self.protocol, 0) + self.source + self.destination
        return struct.pack("!IHBB", 6 << 28, 20, self.protocol, 64) + self.source + self.destination

    @property
    def transport_header(self) -> bytes:
        return struct.pack("!HH", self.source_port, self.port) + bytes(16)
