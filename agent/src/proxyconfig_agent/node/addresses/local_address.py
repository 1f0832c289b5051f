"""An address of one of the node's interfaces, as a value."""

from __future__ import annotations

from msgspec import Struct

from proxyconfig_agent.ingest.model import Address, text_of


class LocalAddress(Struct, frozen=True, order=True):
    """An address of an interface, by the interface's index."""

    address: Address
    prefix: int
    interface: int

    @property
    def is_loopback(self) -> bool:
        return self.address[0] == 127 if len(self.address) == 4 else self.address == bytes(15) + b"\1"

    @property
    def is_link_local(self) -> bool:
        return self.address[:2] == b"\xa9\xfe" if len(self.address) == 4 else self.address[0] == 0xFE and self.address[1] & 0xC0 == 0x80

    def __str__(self) -> str:
        return f"{text_of(self.address)}/{self.prefix}"
