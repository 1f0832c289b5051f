"""`takeover`: nodes go from kube-proxy to a ProxyConfig, wave by wave, and back."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TextIO

import click

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.names import CONFIG_LABEL
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import RemovalPolicy, Takeover
from proxyconfig_api.status.messages import node_count
from proxyconfig_api.status.shadow import FleetShadow
from proxyconfig_api.values.duration import Duration
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster import takeover as cluster
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.commands.manifest import manifest_of
from proxyconfig_cli.commands.options import asynchronous, config_name, connection, examples
from proxyconfig_cli.output.formats import formatted
from proxyconfig_cli.takeover import affinity, turns
from proxyconfig_client.apiserver.client import ApiClient

POLL_S = 1.0
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

    Where somebody else writes kube-proxy's DaemonSet, its affinity is printed instead, for you to put it there. Interrupted, the same
    command continues. Exit code 1 if a node is not ready in time.
    """
    manifest = manifest_of(file)
    config = ProxyConfig.parse(manifest)
    if config.spec.takeover is Takeover.OBSERVE:
        raise click.ClickException("spec.takeover is Observe, which takes nothing over: set Wait in the file")
    manifest = turns.explicit(manifest, config.spec.takeover)
    async with connection.open() as client:
        patch = await _patch_of(client, connection.namespace, daemonset)
        await _gate(client, manifest)
        if patch is not None:
            await cluster.patch_daemonset(client, connection.namespace, daemonset, patch)
            click.echo(f"DaemonSet {connection.namespace}/{daemonset} is kept off nodes with an agent")
        taken = await _waves(client, config)
        await cluster.apply(client, manifest)
        await cluster.give_turn(client, taken, None)
    click.echo(click.style(f"{config.metadata.name}: {node_count(len(taken))} taken over", fg="green"))


@command.command("status", short_help="how far it is", epilog=examples("takeover status", "takeover status edge"))
@config_name
@_daemonset
@_kube_proxy
@asynchronous
async def status(*, name: str, daemonset: str, connection: Connection) -> None:
    """Show which nodes the ProxyConfig NAME serves, and what keeps the others."""
    async with connection.open() as client:
        config = await proxyconfigs.one(client, name)
        found = await cluster.daemonset(client, connection.namespace, daemonset)
        proxies = {proxy.metadata.name: proxy for proxy in await proxyconfigs.nodes(client, name)}
    late = turns.waiting(sorted(proxies), proxies)
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
        await proxyconfigs.one(client, name)
        await cluster.set_removal_policy(client, name, RemovalPolicy.REMOVE if remove else RemovalPolicy.KEEP)
        await cluster.delete(client, name)
        nodes = await cluster.nodes(client)
        await cluster.give_turn(client, [each.metadata.name for each in nodes if each.metadata.labels.get(turns.TURN_LABEL) == name], None)
    how = "their rules are removed" if remove else "their rules stay until it has its own"
    click.echo(f"proxyconfig {name} is being deleted; its nodes go back to kube-proxy: {how}")


def _comparison(shadow: FleetShadow) -> str:
    found = f"{shadow.score} of all flows match, {shadow.differing} Services differ" if shadow.score else "no rules of kube-proxy found"
    return f"compared with kube-proxy on {node_count(shadow.nodes)}: {found}"


async def _gate(client: ApiClient, manifest: dict[str, Any]) -> None:
    """Have the ProxyConfig select nodes by their turn. Nodes that it serves already have had it; those that observe go first, as kube-proxy
    would leave them all at once."""
    name = manifest["metadata"]["name"]
    before = await proxyconfigs.find(client, name)
    if before is not None and before.spec.takeover is not Takeover.OBSERVE:
        await cluster.give_turn(client, [each.name for each in await _agents(client, name)], name)
    await cluster.apply(client, turns.gated(manifest))
    while True:
        if all(each.labels.get(turns.TURN_LABEL) == name for each in await _agents(client, name)):
            return
        await asyncio.sleep(POLL_S)


async def _agents(client: ApiClient, name: str) -> list[Metadata]:
    """The nodes that the operator has given to the ProxyConfig."""
    return [node.metadata for node in await cluster.nodes(client) if node.metadata.labels.get(CONFIG_LABEL) == name]


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


async def _waves(client: ApiClient, config: ProxyConfig) -> tuple[str, ...]:
    """Give all nodes their turn, and return them."""
    name, number = config.metadata.name, 0
    while True:
        every = [node for node in await cluster.nodes(client) if config.spec.node_selector.matches(node.metadata.labels)]
        selected = [node.metadata for node in every if node.status.node_info.operating_system in ("", "linux")]
        taken = tuple(node.name for node in selected if node.labels.get(turns.TURN_LABEL) == name)
        await _ready(client, config, taken)
        if not (wave := turns.next_wave(selected, config.spec.rollout, name)):
            return taken
        number += 1
        click.echo(f"wave {number}: {', '.join(wave)}")
        await cluster.give_turn(client, wave, name)


async def _ready(client: ApiClient, config: ProxyConfig, taken: tuple[str, ...]) -> None:
    """Wait until the nodes were ready for holdPeriod. Raises ClickException after progressDeadline."""
    rollout, begun, ready_since = config.spec.rollout, time.monotonic(), None
    while taken:
        proxies = {proxy.metadata.name: proxy for proxy in await proxyconfigs.nodes(client, config.metadata.name)}
        late = turns.waiting(taken, proxies)
        now = time.monotonic()
        ready_since = None if late else ready_since if ready_since is not None else now
        if ready_since is not None and now - ready_since >= rollout.hold_period:
            return
        if late and now - begun > rollout.progress_deadline:
            node, words = next(iter(late.items()))
            within = Duration(rollout.progress_deadline)
            raise click.ClickException(f"{node} is not ready after {within}: {words}; continue with start, or go back with takeover undo")
        await asyncio.sleep(POLL_S)
