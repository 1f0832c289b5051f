"""`takeover`: nodes go from kube-proxy to a ProxyConfig, wave by wave, and back."""

from __future__ import annotations

from functools import partial
from typing import Any, TextIO

import click

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import RemovalPolicy, Takeover
from proxyconfig_api.status.messages import node_count
from proxyconfig_api.status.shadow import FleetShadow
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster import takeover as cluster
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.commands import gitops
from proxyconfig_cli.commands.manifest import manifest_of
from proxyconfig_cli.commands.options import asynchronous, config_name, connection, examples
from proxyconfig_cli.commands.taking_over import TakingOver
from proxyconfig_cli.output.formats import formatted
from proxyconfig_cli.takeover import affinity, turns
from proxyconfig_client.apiserver.client import ApiClient

_kube_proxy = connection("kube-system", "kube-proxy")
_daemonset = click.option("--daemonset", default="kube-proxy", show_default=True, help="kube-proxy's DaemonSet")


@click.group("takeover", short_help="nodes from kube-proxy to a ProxyConfig, and back")
def command() -> None:
    """Take nodes over from kube-proxy, wave by wave, and give them back."""


@command.command(
    "start",
    short_help="take nodes over, wave by wave",
    epilog=examples("takeover start -f proxyconfig.yaml", "takeover start -f proxyconfig.yaml --daemonset kube-proxy -n kube-system"),
)
@click.option("-f", "--filename", "file", type=click.File(), required=True, help="The ProxyConfig to come; - is standard input")
@_daemonset
@_kube_proxy
@asynchronous
async def start(*, file: TextIO, daemonset: str, connection: Connection) -> None:
    """Keep kube-proxy off nodes with an agent, and give the nodes that the ProxyConfig of the file selects to it: canaries first, then wave
    by wave, as spec.rollout says. A wave ends when its nodes were ready for holdPeriod.

    Nodes that are not ready when it begins are left out of the waves, and of the others as many as maxFailures may not get ready within
    progressDeadline: they are named, and follow when they are ready. What it waits for is on standard error; while the API server is
    away, for progressDeadline at most, requests are tried again.

    Where somebody else writes kube-proxy's DaemonSet, its affinity is printed instead, for you to put it there. Interrupted, the same
    command continues. Exit code 1 if more nodes than maxFailures are not ready in time.
    """
    manifest = manifest_of(file)
    config = ProxyConfig.parse(manifest)
    if config.spec.takeover is Takeover.OBSERVE:
        raise click.ClickException("spec.takeover is Observe, which takes nothing over: set Wait in the file")
    manifest = turns.explicit(manifest, config.spec.takeover)
    async with connection.open() as client:
        patch = await _patch_of(client, connection.namespace, daemonset)
        taking = TakingOver(client, config)
        await taking.gate(manifest)
        gated = await taking.ask(partial(proxyconfigs.raw, client, config.metadata.name))
        gitops.warn(gated["metadata"], "suspend it there until all nodes are taken over")
        if patch is not None:
            await taking.ask(partial(cluster.patch_daemonset, client, connection.namespace, daemonset, patch))
            click.echo(f"DaemonSet {connection.namespace}/{daemonset} is kept off nodes with an agent")
        fleet = await taking.waves()
        await taking.open(manifest, fleet)
    click.echo(taking.result(fleet))


@command.command("status", short_help="how far it is", epilog=examples("takeover status", "takeover status edge -o json"))
@config_name
@_daemonset
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Format  [default: sentences]")
@_kube_proxy
@asynchronous
async def status(*, name: str, daemonset: str, output: str | None, connection: Connection) -> None:
    """Show which nodes the ProxyConfig NAME serves, and what keeps the others."""
    async with connection.open() as client:
        config = await proxyconfigs.one(client, name)
        found = await cluster.daemonset(client, connection.namespace, daemonset)
        proxies = {proxy.metadata.name: proxy for proxy in await proxyconfigs.nodes(client, name)}
    late = turns.waiting(sorted(proxies), proxies)
    if output:
        kept_off = None if found is None else affinity.is_there(found[0])
        counts = {"nodes": len(proxies), "served": len(proxies) - len(late), "waiting": late}
        what = {"name": name, "keptOff": kept_off, **counts, "shadow": codec.builtins(config.status.shadow)}
        click.echo(formatted(what, output), nl=False)
        return
    if found is not None:
        keeps = "is kept off nodes with an agent" if affinity.is_there(found[0]) else "is not kept off nodes with an agent"
        click.echo(f"DaemonSet {connection.namespace}/{daemonset} {keeps}")
    click.echo(f"{name}: {len(proxies) - len(late)} of {node_count(len(proxies))} with an agent served by it")
    if (shadow := config.status.shadow) is not None:
        click.echo(_comparison(shadow))
    for node, words in late.items():
        click.echo(f"{node}: {words}")


@command.command("undo", short_help="give the nodes back to kube-proxy", epilog=examples("takeover undo", "takeover undo edge --remove"))
@config_name
@click.option("--remove", is_flag=True, help="Remove the rules before kube-proxy is back: Services fail until its first sync")
@_kube_proxy
@asynchronous
async def undo(*, name: str, remove: bool, connection: Connection) -> None:
    """Delete the ProxyConfig NAME, and give its nodes back to kube-proxy.

    The rules of its agents stay, and are kept up to date, until kube-proxy has programmed its own (spec.removalPolicy
    Keep): the ProxyConfig goes when it has on all nodes. Where none comes, --remove goes on without it.
    """
    async with connection.open() as client:
        gitops.warn((await proxyconfigs.raw(client, name))["metadata"], "delete it there")
        await cluster.set_removal_policy(client, name, RemovalPolicy.REMOVE if remove else RemovalPolicy.KEEP)
        await cluster.delete(client, name)
        nodes = await cluster.nodes(client)
        await cluster.give_turn(client, [each.metadata.name for each in nodes if each.metadata.labels.get(turns.TURN_LABEL) == name], None)
    how = "their rules are removed" if remove else "their rules stay until it has its own"
    click.echo(f"proxyconfig {name} is being deleted; its nodes go back to kube-proxy: {how}")


def _comparison(shadow: FleetShadow) -> str:
    found = f"{shadow.score} of all flows match, {shadow.differing} Services differ" if shadow.score else "no rules of kube-proxy found"
    return f"compared with kube-proxy on {node_count(shadow.nodes)}: {found}"


async def _patch_of(client: ApiClient, namespace: str, name: str) -> dict[str, Any] | None:
    """What kube-proxy's DaemonSet lacks; None: nothing. Raises ClickException where somebody else has to write it."""
    found = await cluster.daemonset(client, namespace, name)
    if found is None:
        click.echo(f"there is no DaemonSet {namespace}/{name}: nodes wait until their kube-proxy has ended", err=True)
        return None
    daemonset, metadata = found
    if affinity.is_there(daemonset):
        return None
    if owner := affinity.owner(metadata):
        click.echo(formatted(affinity.patch(daemonset), "yaml"), nl=False)
        raise click.ClickException(f"DaemonSet {namespace}/{name} comes from {owner}: put this affinity there, then start again")
    return affinity.patch(daemonset)
