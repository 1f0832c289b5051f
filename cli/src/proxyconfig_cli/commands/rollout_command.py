"""`rollout`: how far a change is, what was before it, and the way back."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from functools import partial

import click

from proxyconfig_api.objects import names
from proxyconfig_api.values.duration import Duration
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.cluster.retries import POLL_S, Retries
from proxyconfig_cli.commands import candidates
from proxyconfig_cli.commands.options import asynchronous, config_name, connection, examples
from proxyconfig_cli.commands.pausing import pause, resume, retry
from proxyconfig_cli.output.age import age
from proxyconfig_cli.output.formats import formatted
from proxyconfig_cli.output.table import table
from proxyconfig_cli.rollout.history import Entry, entries
from proxyconfig_cli.rollout.progress import Outcome, as_object, progress
from proxyconfig_cli.rollout.undo import changes, owner, target, undone

_cluster = connection(names.NAMESPACE, "the operator")


class Seconds(click.ParamType[float]):
    """A duration in Go's syntax; 0s is for ever."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return Duration.parse(str(value))
        except ValueError as error:
            return self.fail(str(error), param, ctx)


@click.group("rollout", short_help="how far a change is, and the way back")
def command() -> None:
    """Follow, pause, undo and retry the rollout of a ProxyConfig's changes to its nodes."""


@command.command(
    "status",
    short_help="how far it is; waits for its end",
    epilog=examples("rollout status", "rollout status edge --timeout 10m", "rollout status --watch=false -o json"),
)
@config_name
@click.option("-w", "--watch", type=bool, default=True, show_default=True, metavar="[=BOOLEAN]", help="Wait for the end of the rollout")
@click.option("--timeout", "within_s", type=Seconds(), default="0s", show_default=True, help="How long to wait; 0s is without end")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Format, of what is there at the end  [default: sentences]")
@_cluster
@asynchronous
async def status(*, name: str, watch: bool, within_s: float, output: str | None, connection: Connection) -> None:
    """Show how far the rollout of the ProxyConfig NAME is, and wait for its end, also while the API server is away.

    Exit code 1 if it failed, was rolled back or did not end in time.
    """
    deadline, last = time.monotonic() + within_s, ""
    retries = Retries(partial(click.echo, err=True), until=deadline if within_s else math.inf)
    async with connection.open() as client:
        while True:
            config = await retries.ask(partial(proxyconfigs.one, client, name))
            now = progress(config)
            if output and (now.outcome is not Outcome.UNDERWAY or not watch):
                click.echo(formatted(as_object(config), output), nl=False)
            if now.outcome is Outcome.FAILED:
                raise click.ClickException(now.message)
            if not output and now.message != last:
                click.echo(_coloured(now.message, now.outcome))
                last = now.message
            if now.outcome is Outcome.COMPLETE or not watch:
                return
            if within_s and time.monotonic() > deadline:
                raise click.ClickException(f"timed out after {Duration(within_s)}: {now.message}")
            await asyncio.sleep(POLL_S)


@command.command(
    "history",
    short_help="what there was before",
    epilog=examples("rollout history", "rollout history --revision 3", "rollout history edge -o yaml"),
)
@config_name
@click.option(
    "--revision", "number", type=int, default=0, shell_complete=candidates.revisions, help="Print the spec of this revision alone"
)
@click.option("-o", "--output", type=click.Choice(["json", "yaml", "wide"]), help="Format  [default: a table]")
@_cluster
@asynchronous
async def history(*, name: str, number: int, output: str | None, connection: Connection) -> None:
    """List the revisions of the ProxyConfig NAME, the newest last, with the fields that each changed and the nodes that run it."""
    async with connection.open() as client:
        await proxyconfigs.one(client, name)
        found = await proxyconfigs.revisions(client, name, connection.namespace)
        listed = entries(found, await proxyconfigs.nodes(client, name))
    if number:
        click.echo(formatted(dict(target(found, number).spec), output or "yaml"), nl=False)
    elif output in ("json", "yaml"):
        click.echo(formatted([_as_object(entry) for entry in listed], output), nl=False)
    else:
        click.echo(_history_table(listed, wide=output == "wide"), nl=False)


for _each in (pause, resume, retry):
    command.add_command(_each)


@command.command(
    "undo",
    short_help="back to an older revision",
    epilog=examples("rollout undo", "rollout undo --to-revision 3", "rollout undo edge --dry-run"),
)
@config_name
@click.option(
    "--to-revision",
    "number",
    type=int,
    default=0,
    show_default=True,
    shell_complete=candidates.revisions,
    help="Number of `rollout history`; 0 is the last one before whose rollout was complete",
)
@click.option("--dry-run", is_flag=True, help="Print what would change, let the API server check it, and change nothing")
@_cluster
@asynchronous
async def undo(*, name: str, number: int, dry_run: bool, connection: Connection) -> None:
    """Write the spec of an older revision into the ProxyConfig NAME.

    Which nodes it selects, its agents' pods and the section rollout stay as they are. The way back goes in waves, as every change.
    """
    async with connection.open() as client:
        config = await proxyconfigs.raw(client, name)
        found = await proxyconfigs.revisions(client, name, connection.namespace)
        status = config.get("status", {})
        revision = target(found, number, status.get("revision", ""), status.get("rollout", {}).get("previousRevision", ""))
        spec = undone(config["spec"], revision)
        await proxyconfigs.replace_spec(client, config, spec, dry_run=dry_run)
    if program := owner(config["metadata"]):
        click.echo(f"Warning: {name} comes from Git ({program}), which will write it again: revert the commit there", err=True)
    what = ", ".join(changes(name, config["spec"], revision)) or "nothing"
    click.echo(f"proxyconfig {name} {'would be' if dry_run else 'is'} as in revision {revision.revision} again; changed: {what}")


def _coloured(message: str, outcome: Outcome) -> str:
    return click.style(message, fg="green") if outcome is Outcome.COMPLETE else message


def _history_table(listed: tuple[Entry, ...], *, wide: bool) -> str:
    now = datetime.now(UTC)
    headers = ("REVISION", "NODES", "AGE", "CHANGES", *(("NAME",) if wide else ()))
    rows = [
        (
            entry.revision.revision,
            entry.nodes,
            age(entry.revision.metadata.creation_timestamp, now),
            ", ".join(entry.changes),
            *((entry.revision.metadata.name,) if wide else ()),
        )
        for entry in listed
    ]
    return table(headers, rows)


def _as_object(entry: Entry) -> dict[str, object]:
    revision = entry.revision
    return {
        "revision": revision.revision,
        "name": revision.metadata.name,
        "nodes": entry.nodes,
        "changes": list(entry.changes),
        "spec": dict(revision.spec),
    }
