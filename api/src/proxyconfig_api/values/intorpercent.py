"""A number or a percentage, as Kubernetes writes `maxUnavailable`: `3` or `10%`."""

from __future__ import annotations

import re
from typing import Any

_PERCENT = re.compile(r"(100|[1-9]?[0-9])%")


class IntOrPercent:
    """Compares and hashes by value. A percentage is of a total that is known only later, see `of`."""

    __slots__ = ("is_percent", "value")

    def __init__(self, value: int, *, is_percent: bool = False) -> None:
        self.value, self.is_percent = value, is_percent

    @classmethod
    def parse(cls, raw: Any) -> IntOrPercent:
        """Parse `3` (at most 2147483647) or `10%`. Raises ValueError that says what to write."""
        if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 2**31:
            return cls(raw)
        if isinstance(raw, str) and _PERCENT.fullmatch(raw):
            return cls(int(raw.removesuffix("%")), is_percent=True)
        raise ValueError(f"must be a number such as 3 or a percentage from 0% to 100%, not {raw}")

    def of(self, total: int) -> int:
        """The number of nodes, of `total`: percentages are rounded up, so that only 0% of some nodes is none."""
        return -(-total * self.value // 100) if self.is_percent else self.value

    def builtin(self) -> int | str:
        """As the API writes it."""
        return f"{self.value}%" if self.is_percent else self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntOrPercent) and self.builtin() == other.builtin()

    def __hash__(self) -> int:
        return hash(self.builtin())

    def __str__(self) -> str:
        return str(self.builtin())

    def __repr__(self) -> str:
        return f"IntOrPercent({self.builtin()!r})"
