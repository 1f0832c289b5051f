"""What a full resync found missing or wrong in the kernel, in words for a log line, an Event and the status. Pure; every mode uses it."""

from __future__ import annotations

from collections import Counter

NAMED = 5
"""So many Service ports and chains are named: at a cold start it is all of them, and the counts say how much it is."""


class Drift:
    """Counts by noun, and what it was of. As text: `2 elements of services, 1 rules; of shop/web:http, chain nat-prerouting`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, None] = {}

    def count(self, nouns: str, number: int = 1) -> None:
        """So many of these (`chains`, `elements of services`) were missing or wrong."""
        if number:
            self._counts[nouns] += number

    def of(self, name: object) -> None:
        """What was found belongs to this Service port, or chain; once is enough, however much it was."""
        if len(self._names) <= NAMED:
            self._names[str(name)] = None

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {nouns}" for nouns, number in sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))
        named = list(self._names)
        more = " and others" if len(named) > NAMED else ""
        return f"{counts}; of {', '.join(named[:NAMED])}{more}" if counts and named else counts
