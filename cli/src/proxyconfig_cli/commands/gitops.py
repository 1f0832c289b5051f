"""The warning that Git may take a change back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from proxyconfig_cli.rollout.undo import owner


def warn(metadata: Mapping[str, Any], fix: str) -> None:
    """On standard error, where a program writes the object of `metadata` from Git; `fix` says what to do there."""
    if program := owner(metadata):
        click.echo(f"Warning: {metadata['name']} comes from Git ({program}), which may write it again: {fix}", err=True)
