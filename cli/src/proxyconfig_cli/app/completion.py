"""Completion for kubectl, which runs `kubectl_complete-proxyconfig WORD…` and reads cobra's format: a candidate and its help per line,
then a directive (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete

from proxyconfig_cli.app.main import PROGRAM, main

_NO_FILES, _FILES = ":4", ":0"


def completions(words: Sequence[str]) -> list[str]:
    """`words` behind `kubectl proxyconfig`; the last one is being typed, and may be empty."""
    *before, incomplete = words or [""]
    found = ShellComplete(main, {}, PROGRAM, "").get_completions(list(before), incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else item.value for item in found if item.type == "plain"]
    return [*lines, _FILES if any(item.type in ("file", "dir") for item in found) else _NO_FILES]


def run() -> None:
    """The console script `kubectl_complete-proxyconfig`."""
    for line in completions(sys.argv[1:]):
        click.echo(line)
    os._exit(0)  # at a regular exit Python waits for threads of the resolver
