from __future__ import annotations

import pytest
from tests.unit.cli.page import PAGE, SESSIONS, commands, page

from proxyconfig_cli.app.main import main


def test_the_page_of_the_command_line_is_what_the_commands_print() -> None:
    assert PAGE.read_text() == page(), "write it again with: python -m tests.unit.cli.page"


@pytest.mark.parametrize("words", [words for words, _ in commands(main)])
def test_every_command_has_a_session(words: str) -> None:
    assert SESSIONS[words]
