"""Durations as Kubernetes writes them: Go's syntax in the API, seconds in the code."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)"
_WHOLE = re.compile(f"(?:{_PART})+")
_PARTS = re.compile(_PART)

LIMIT_S = 576 * 3600
"""24 days. The kernel keeps timeouts in ticks (up to 1000 per second) as a signed 32-bit number: 24.8 days are too many for it."""


class Duration(float):
    """A number of seconds, never negative; as text in Go's syntax."""

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Parse `1h30m`, `250ms`, `0s` or `0`. Raises ValueError that says what to write."""
        if text == "0":
            return cls(0)
        if not isinstance(text, str) or not _WHOLE.fullmatch(text):
            raise ValueError(f"must be a duration such as 1h30m, 10s or 250ms, not {text}")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))
        if seconds > LIMIT_S:
            raise ValueError(f"must be at most 576h, not {text}: the kernel counts no further")
        return cls(seconds)

    def __str__(self) -> str:
        """The shortest common form: `24h`, `1m30s`, `250ms`; `0s` for none."""
        nanoseconds = round(self * 1e9)
        parts = []
        for unit, size in (
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ):
            count, nanoseconds = divmod(nanoseconds, size)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"
