"""Tables as kubectl prints them: columns three blanks apart, no lines."""

from __future__ import annotations

from collections.abc import Sequence


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The lines, each with its line break; an empty cell is `<none>`."""
    cells = [list(headers), *([str(cell) or "<none>" for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(headers))]
    return "".join("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in cells)
