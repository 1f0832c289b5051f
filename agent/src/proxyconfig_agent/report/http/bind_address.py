"""Where the agent's pages listen, as the command line says it."""

from __future__ import annotations

from msgspec import Struct

from proxyconfig_api.values.bindaddress import is_bind_address


class Bind(Struct, frozen=True):
    """An address and a port to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Bind | None:
        """`IP:PORT`, `[IPv6]:PORT` or `:PORT`; empty: do not listen. Raises ValueError with a sentence for the user."""
        if not text:
            return None
        if not is_bind_address(text):
            raise ValueError(f"{text!r} is not an address to listen on: write IP:PORT, [IPv6]:PORT or :PORT, or nothing to turn it off")
        host, _, port = text.rpartition(":")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
