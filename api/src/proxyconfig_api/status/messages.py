"""Parts of the sentences that conditions and Events hold."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 5
"""Things are named in a sentence up to so many."""


def listed(things: Sequence[object], most: int = NAMED) -> str:
    """The first `most` things, and how many more there are: `a, b and 3 more`."""
    more = f" and {len(things) - most} more" if len(things) > most else ""
    return ", ".join(map(str, things[:most])) + more
