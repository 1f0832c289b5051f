"""Sessions on pages of the documentation: blocks of code with `$ command`, and below it what the command prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = "docs/cli.md"
"""Written, and compared as a whole, by `tests.unit.cli.page`."""
PAGES = tuple(sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")) if path != ROOT / GENERATED))
LEFT_OUT = "…"
_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Session:
    """`page`: its path in the repository."""

    page: str
    command: str
    printed: str

    @property
    def is_whole(self) -> bool:
        return LEFT_OUT not in self.printed.splitlines()

    @property
    def parts(self) -> list[str]:
        """What is printed, without what the page leaves out."""
        return [part for part in self.printed.split(f"{LEFT_OUT}\n") if part.strip()]


def sessions() -> Iterator[Session]:
    for page in PAGES:
        for block in blocks(page):
            for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, printed = text.partition("\n")
                yield Session(str(page.relative_to(ROOT)), command, printed)


def blocks(page: Path) -> list[str]:
    return _BLOCK.findall(page.read_text())


def code(page: Path) -> Iterator[str]:
    """Each command line on a page, in a block or within a sentence; pipes and redirections are taken apart."""
    lines = [line.removeprefix("$ ") for block in blocks(page) for line in block.splitlines()]
    for text in (*lines, *_CODE.findall(_BLOCK.sub("", page.read_text()))):
        yield from (part.strip() for part in re.split(r"\\?\||>|\$\(", text))
