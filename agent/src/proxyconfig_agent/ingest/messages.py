"""What sentences about bad input are made of: short and printable, whatever the input is. They end in Events, a status and logs."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 80
REPORTED = 3
"""Sentences about one object."""


def quoted(text: str) -> str:
    """Any text: printable, and no longer than people read."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def number_text(number: int) -> str:
    """Python refuses to print integers of thousands of digits."""
    return str(number) if -(10**20) < number < 10**20 else "of more than 20 digits"


def few(sentences: Sequence[str]) -> tuple[str, ...]:
    """The first of them, and how many more there are."""
    more = len(sentences) - REPORTED
    return (*sentences[:REPORTED], f"and {more} more such parts") if more > 0 else tuple(sentences)
