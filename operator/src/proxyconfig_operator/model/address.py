"""Where something listens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A host (name or IP, IPv6 without brackets) and a TCP port."""

    host: str
    port: int
