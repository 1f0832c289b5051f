from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import click
import pytest
from tests.support.sessions import PAGES, code
from tests.unit.cli.page import PAGE, SESSIONS, commands, page

from proxyconfig_cli.app.main import PROGRAM, main


def test_the_page_of_the_command_line_is_what_the_commands_print() -> None:
    assert PAGE.read_text() == page(), "write it again with: python -m tests.unit.cli.page"


@pytest.mark.parametrize("words", [words for words, _ in commands(main)])
def test_every_command_has_a_session(words: str) -> None:
    assert SESSIONS[words]


def quoted() -> list[str]:
    """What pages have behind `kubectl proxyconfig`."""
    return sorted({line.removeprefix(f"{PROGRAM} ") for page in PAGES for line in code(page) if line.startswith(f"{PROGRAM} ")})


@pytest.mark.parametrize("line", quoted())
def test_command_lines_of_the_pages_are_right_use(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("proxyconfig.yaml", "FILE"):
        (tmp_path / name).touch()
    name, command, words = command_of(main, shlex.split(line))
    # A sentence may name a command without what it needs.
    with contextlib.suppress(click.MissingParameter), command.make_context(name, words):
        pass


def command_of(command: click.Command, words: list[str], name: str = "") -> tuple[str, click.Command, list[str]]:
    """The command of a command line, and its own words. Raises UsageError."""
    if not isinstance(command, click.Group):
        return name, command, words
    given, inner, rest = command.resolve_command(click.Context(command), words)
    assert inner is not None
    return command_of(inner, rest, given or "")
