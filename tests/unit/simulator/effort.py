"""How hard properties are tried: on the same few examples each time; `EFFORT=30` (environment): on thirty times as many, any."""

from __future__ import annotations

import os

from hypothesis import settings

EFFORT = int(os.environ.get("EFFORT", "1"))


def effort(examples: int) -> settings:
    """Settings of a property that is tried on so many examples at least."""
    return settings(max_examples=examples * EFFORT, derandomize=EFFORT == 1, deadline=None, print_blob=EFFORT > 1)
