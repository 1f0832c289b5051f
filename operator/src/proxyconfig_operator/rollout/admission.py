"""Which of the nodes that change outside of waves may change now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

BATCH = 250
"""Nodes per pass outside of waves: about what an API server takes in a second, so that status tells of progress in between."""

T = TypeVar("T")


def admit(behind: Sequence[T]) -> tuple[Sequence[T], bool]:
    """The first of `behind` that may change in this pass, and whether some are left for the next one."""
    return behind[:BATCH], len(behind) > BATCH
