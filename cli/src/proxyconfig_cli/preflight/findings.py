"""What a check has found."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.StrEnum):
    PROBLEM = "Problem"
    """Services stop working somewhere, or become reachable that were not: to be mended first."""
    CHANGE = "Change"
    """Something behaves in another way than before."""
    NOTE = "Note"
    """Something that cannot be known from here, or that is worth a look."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is a CamelCase word, `message` a sentence with the fix; `objects` are the nodes, or the Services as `namespace/name`."""

    severity: Severity
    check: str
    message: str
    objects: tuple[str, ...] = ()


def found(severity: Severity, check: str, message: str, objects: list[str]) -> list[Finding]:
    """A finding about `objects`; none if there are none."""
    return [Finding(severity, check, message, tuple(objects))] if objects else []
