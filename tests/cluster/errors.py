"""What can go wrong with a cluster. Every message says which part it was, what that part said last, and what to do.

ClusterError
├── ToolMissingError   a program that no package gave us
├── CommandError       a tool that was run to its end and failed
└── ComponentError     a component that ended or did not become ready
"""

from __future__ import annotations

from pathlib import Path

LAST_LINES = 15


class ClusterError(Exception):
    """A failure that is printed for the user as it is, without a traceback."""


class ToolMissingError(ClusterError):
    """A program is not on this machine."""


class CommandError(ClusterError):
    """A command ended with a failure."""

    def __init__(self, command: list[str], output: str, advice: str = "") -> None:
        last = "\n".join(f"    {line}" for line in output.strip().splitlines()[-LAST_LINES:])
        super().__init__(f"`{' '.join(command)}` failed:\n{last}" + (f"\n  {advice}" if advice else ""))
        self.output = output


class ComponentError(ClusterError):
    """A component of the cluster ended, or did not become ready in time."""

    def __init__(self, component: str, what: str, log: Path, advice: str) -> None:
        super().__init__(f"{component} {what}. Its last lines ({log}):\n{tail(log)}\n  What to do: {advice}")
        self.component = component


def tail(log: Path, lines: int = LAST_LINES) -> str:
    """Return the last lines of a log, indented; a sentence if there are none."""
    if not log.exists() or not log.stat().st_size:
        return "    (it wrote nothing)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64 * 1024))
        text = file.read().decode(errors="replace")
    return "\n".join(f"    {line[:400]}" for line in text.splitlines()[-lines:])
