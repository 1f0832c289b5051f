"""`plan`: what applying a ProxyConfig will do, before it is done."""

from __future__ import annotations

from typing import TextIO

import click
import msgspec

from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.cluster.plan_survey import cluster
from proxyconfig_cli.commands.manifest import manifest_of
from proxyconfig_cli.commands.options import asynchronous, connection, examples
from proxyconfig_cli.output.formats import formatted
from proxyconfig_cli.output.table import table
from proxyconfig_cli.rollout.plan import Plan, plan
from proxyconfig_cli.rollout.sentences import sentences


@click.command(
    "plan",
    short_help="what applying a ProxyConfig will do",
    epilog=examples(
        "plan -f proxyconfig.yaml", "plan -f proxyconfig.yaml -o json", "import --mode nftables | kubectl proxyconfig plan -f -"
    ),
)
@click.option("-f", "--filename", "file", type=click.File(), required=True, help="The ProxyConfig to come; - is standard input")
@click.option("-o", "--output", type=click.Choice(["json", "yaml", "wide"]), help="Format; wide names all nodes")
@connection("proxyconfig-system", "the operator")
@asynchronous
async def command(*, file: TextIO, output: str | None, connection: Connection) -> None:
    """Show which fields the ProxyConfig of a file changes, what each change does, and how many nodes and waves it takes.

    The API server checks it; nothing is changed. Exit code 1 if it is refused.
    """
    manifest = manifest_of(file)
    after = ProxyConfig.parse(manifest)
    async with connection.open() as client:
        await proxyconfigs.check(client, manifest)
        known = await cluster(client, after.metadata.name, connection.namespace)
        schema = await proxyconfigs.schema(client)
    found = plan(after, known, schema)
    if output in ("json", "yaml"):
        click.echo(formatted(msgspec.to_builtins(found), output), nl=False)
    else:
        click.echo(_as_text(found, wide=output == "wide"), nl=False)


def _as_text(found: Plan, *, wide: bool) -> str:
    rows = [(each.path, _value(each.before), _value(each.after), each.effect) for each in found.changes]
    lines = [table(("FIELD", "BEFORE", "AFTER", "EFFECT"), rows) if rows else f"{found.name}: nothing changes\n"]
    return "".join([*lines, *(f"{each}\n" for each in sentences(found, wide=wide))])


def _value(value: object) -> str:
    if value is None:
        return "<default>"
    return str(value).lower() if isinstance(value, bool) else str(value)
