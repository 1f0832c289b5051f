"""Ages as kubectl prints them."""

from __future__ import annotations

from datetime import datetime


def age(since: datetime | None, now: datetime) -> str:
    """`12s`, `5m`, `3h`, `9d`; empty if it is not known."""
    if since is None:
        return ""
    seconds = max(int((now - since).total_seconds()), 0)
    for unit, size, limit in (("s", 1, 120), ("m", 60, 180), ("h", 3600, 48)):
        if seconds < size * limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86400}d"
