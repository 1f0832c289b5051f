"""How much the simulator was compared with, at the end."""

from __future__ import annotations

import pytest

COMPARED = pytest.StashKey[dict[str, str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many flows the simulator and real packets agreed on, for each mode."""
    for mode, words in terminalreporter.config.stash.get(COMPARED, {}).items():
        terminalreporter.write_line(f"simulated and real packets agree, {mode}: {words}")
