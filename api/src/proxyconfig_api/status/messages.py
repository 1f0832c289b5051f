"""Parts of the sentences that conditions and Events hold."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 5
"""Things are named in a sentence up to so many."""


def listed(things: Sequence[object], most: int = NAMED) -> str:
    """The first `most` things, and how many more there are: `a, b and 3 more`."""
    more = f" and {len(things) - most} more" if len(things) > most else ""
    return ", ".join(map(str, things[:most])) + more


def counted(number: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def node_count(number: int) -> str:
    return counted(number, "node")


def nodes(names: Sequence[str]) -> str:
    """Of one node its name, of several their number and names: `node a`, `2 nodes (a, b)`."""
    return f"node {names[0]}" if len(names) == 1 else f"{node_count(len(names))} ({listed(names)})"
