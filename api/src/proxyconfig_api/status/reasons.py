"""What a reason of a condition, of `worstNodes` or of an Event means. Reasons are a stable API: a renamed one is in CHANGELOG.md.

Each package has a table of the reasons that it gives; `docs/conditions.md` shows both.
"""

from __future__ import annotations

from msgspec import Struct


class Reason(Struct, frozen=True):
    """`where`: condition types, `worstNodes`, or Events and their objects. `fix`: what to do; empty if nothing."""

    name: str
    where: str
    means: str
    fix: str = ""
