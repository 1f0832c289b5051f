"""Running tools to their end."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.errors import CommandError, ToolMissingError


def run(
    *command: str | Path,
    given: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 120,
    advice: str = "",
) -> str:
    """Run a tool to its end and return what it printed.

    Raises CommandError with its words (and `advice`), ToolMissingError if there is no such program.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=given, capture_output=True, text=True, cwd=cwd, env=env, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise ToolMissingError(f"`{words[0]}` is not on this machine. Run `python3 -m tests.cluster packages` first.") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(words, f"no end within {timeout_s:.0f} s", advice) from error
    if done.returncode:
        raise CommandError(words, done.stdout + done.stderr, advice)  # what went wrong stands last, and the last lines are shown
    return done.stdout


def succeeds(*command: str | Path, timeout_s: float = 60) -> bool:
    """Run a tool to its end and return whether it succeeded."""
    try:
        run(*command, timeout_s=timeout_s)
    except CommandError:
        return False
    return True
