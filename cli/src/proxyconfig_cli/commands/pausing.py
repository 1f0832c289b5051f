"""`rollout pause`, `resume` and `retry`: small changes of a ProxyConfig, each with a warning where Git may take it back."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from proxyconfig_api.objects import names
from proxyconfig_api.spec.rollout import RETRY_ANNOTATION
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.commands import gitops
from proxyconfig_cli.commands.options import asynchronous, config_name, connection, examples
from proxyconfig_cli.rollout.retry import refusal

_cluster = connection(names.NAMESPACE, "the operator")


@click.command("pause", short_help="change no further node", epilog=examples("rollout pause", "rollout pause edge"))
@config_name
@_cluster
@asynchronous
async def pause(*, name: str, connection: Connection) -> None:
    """Stop the rollout of the ProxyConfig NAME: no further node changes until it is resumed."""
    async with connection.open() as client:
        gitops.warn(await proxyconfigs.set_paused(client, name, paused=True), "set spec.rollout.paused there")
    click.echo(f"proxyconfig {name} paused")


@click.command("resume", short_help="go on", epilog=examples("rollout resume", "rollout resume edge"))
@config_name
@_cluster
@asynchronous
async def resume(*, name: str, connection: Connection) -> None:
    """Resume the paused rollout of the ProxyConfig NAME."""
    async with connection.open() as client:
        gitops.warn(await proxyconfigs.set_paused(client, name, paused=False), "remove spec.rollout.paused there")
    click.echo(f"proxyconfig {name} resumed")


@click.command("retry", short_help="start a failed one again", epilog=examples("rollout retry", "rollout retry edge"))
@config_name
@_cluster
@asynchronous
async def retry(*, name: str, connection: Connection) -> None:
    """Start a failed rollout of the ProxyConfig NAME again, with the same spec.

    Exit code 1 if it has not failed.
    """
    async with connection.open() as client:
        if words := refusal(await proxyconfigs.one(client, name)):
            raise click.ClickException(words)
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        gitops.warn(await proxyconfigs.retry(client, name, stamp), f"if nothing begins, change the annotation {RETRY_ANNOTATION} there")
    click.echo(f"proxyconfig {name} will be rolled out again")
