"""A command line as kubectl takes it → as click takes it; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

_GLOBAL = ("--kubeconfig", "--context", "--namespace", "-n")
"""Of kubectl's flags for all commands, those that ours have; each has a value."""
_SHORT = re.compile(r"(-[a-z])=(.*)", re.DOTALL)


def as_click(words: Sequence[str], group: click.Group) -> list[str]:
    """`-o=json` is `-ojson`, `-w` is `--watch=true`, and flags for all commands that stand before the command stand behind it.

    What is behind `--` stays as it is."""
    end = words.index("--") if "--" in words else len(words)
    return [*_behind(list(_rewritten(words[:end])), group), *words[end:]]


def _rewritten(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        match = _SHORT.fullmatch(word)
        if word in ("-w", "--watch"):
            yield "--watch=true"
        elif match and match[1] == "-w":
            yield f"--watch={match[2]}"
        elif match:
            yield from (match[1] + match[2],) if match[2] else (match[1], "")
        else:
            yield word


def _behind(words: list[str], group: click.Group) -> list[str]:
    commands: list[str] = []
    flags: list[str] = []
    command: click.Command = group
    while words and isinstance(command, click.Group):
        name, equals, _ = words[0].partition("=")
        if name in _GLOBAL or (name.startswith("-n") and not name.startswith("--")):
            size = 1 if equals or name not in _GLOBAL else 2
            flags, words = [*flags, *words[:size]], words[size:]
        elif words[0] in command.commands:
            command = command.commands[words[0]]
            commands.append(words.pop(0))
        else:
            break
    return [*commands, *([] if isinstance(command, click.Group) else flags), *words]
