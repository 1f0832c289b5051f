"""How a reflector is doing, as a value for conditions, metrics and logs."""

from __future__ import annotations

from msgspec import Struct


class ReflectorState(Struct, frozen=True):
    path: str
    """Of the resource, such as /api/v1/services."""
    synced: bool = False
    """A list was complete at some time: the handler knows the resource."""
    connected: bool = False
    """A watch is open."""
    absent: bool = False
    """The server does not have this optional resource; it is asked again from time to time."""
    error: str = ""
    """Why the last attempt failed; empty while `connected`."""
    changed_at: float = 0.0
    """When (time.monotonic) `synced`, `connected`, `absent` or `error` last changed."""
    lists: int = 0
    interruptions: int = 0
    """Since the start."""
    undecodable: int = 0
    """Objects that could not be decoded, since the start."""
