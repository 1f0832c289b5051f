"""Where something listens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A host (name or IP, IPv6 without brackets) and a TCP port."""

    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        """Whether to listen on it means to listen on all addresses, of both families: a cluster may have either alone."""
        return self.host in ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not chosen

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
