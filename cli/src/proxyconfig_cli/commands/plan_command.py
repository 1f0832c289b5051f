"""`plan`: what applying a ProxyConfig will do, before it is done."""

from __future__ import annotations

from typing import TextIO

import click
import msgspec

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.status.messages import listed, node_count
from proxyconfig_api.values.duration import Duration
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.commands.manifest import manifest_of
from proxyconfig_cli.commands.options import asynchronous, connection, examples
from proxyconfig_cli.output.formats import formatted
from proxyconfig_cli.output.table import table
from proxyconfig_cli.rollout.plan import Plan, plan
from proxyconfig_client.apiserver.client import path_of


class _Node(msgspec.Struct, frozen=True):
    metadata: Metadata


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
        before = await proxyconfigs.find(client, after.metadata.name)
        nodes = [each.metadata for each in await proxyconfigs.listed(client, path_of("v1", "nodes"), _Node)]
        schema = await proxyconfigs.schema(client)
    found = plan(after.metadata.name, before.spec if before else None, after.spec, nodes, schema)
    if output in ("json", "yaml"):
        click.echo(formatted(msgspec.to_builtins(found), output), nl=False)
    else:
        click.echo(_as_text(found, wide=output == "wide"), nl=False)


def _as_text(found: Plan, *, wide: bool) -> str:
    rows = [(each.path, _value(each.before), _value(each.after), each.effect) for each in found.changes]
    lines = [table(("FIELD", "BEFORE", "AFTER", "EFFECT"), rows) if rows else f"{found.name}: nothing changes\n"]
    for words, nodes in (("join", found.joining), ("leave", found.leaving)):
        if nodes:
            lines.append(f"{node_count(len(nodes))} {words}: {listed(nodes, len(nodes) if wide else 5)}\n")
    if found.waves:
        lines.append(_in_waves(found))
    elif found.revision:
        lines.append(f"Revision {found.revision} goes to {node_count(found.nodes)} at once: there is nothing to go back to yet\n")
    return "".join(lines)


def _in_waves(found: Plan) -> str:
    what = [*([f"revision {found.revision}"] if found.revision else ()), *(["new pods"] if found.replaces_pods else ())]
    words, goes = " and ".join(what), "go" if found.replaces_pods else "goes"
    least = Duration(found.least_s)
    return f"{words[0].upper()}{words[1:]} {goes} to {node_count(found.nodes)} in {found.waves} waves, which take {least} or longer\n"


def _value(value: object) -> str:
    if value is None:
        return "<default>"
    return str(value).lower() if isinstance(value, bool) else str(value)
