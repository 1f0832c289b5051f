"""What is wrong with an object that a user wrote: one exception that carries every problem found."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One field that cannot be what it is: its path (`spec.conntrack.min`), what should be there, and what is there."""

    field: str
    fix: str
    value: object = None

    def __str__(self) -> str:
        return f"{self.field}: {self.fix}" if self.value is None else f"{self.field}: {self.value!r}: {self.fix}"


class InvalidSpec(ValueError):  # noqa: N818 - the domain's word: kubectl says Invalid, too
    """An object that cannot be used. `problems` is never empty; the text is one sentence for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))
