"""Names of the cluster's objects as candidates of a shell's completion: within `ENOUGH_S`, and none where the cluster does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import click
import msgspec
from click.shell_completion import CompletionItem

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects import names
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.rollout.history import entries
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.errors import ClientError

ENOUGH_S = 3.0
"""Somebody waits at a prompt."""

Find = Callable[[ApiClient, click.Context], Awaitable[Iterable[CompletionItem]]]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completing(find: Find) -> Complete:
    """What click calls: the candidates that begin as what was typed."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [item for item in _within(ENOUGH_S, partial(_ask, find, context)) if item.value.startswith(incomplete)]

    return complete


async def _configs(client: ApiClient, _context: click.Context) -> Iterable[CompletionItem]:
    return map(CompletionItem, await proxyconfigs.names_of(client, path_of(names.API_VERSION, "proxyconfigs")))


async def _nodes(client: ApiClient, _context: click.Context) -> Iterable[CompletionItem]:
    return map(CompletionItem, await proxyconfigs.names_of(client, path_of("v1", "nodes")))


async def _revisions(client: ApiClient, context: click.Context) -> Iterable[CompletionItem]:
    """Of the ProxyConfig that was named before, with the fields that each changed."""
    # click gives no name to a word before an option that still lacks its value.
    name, *_ = (*context.args, context.params["name"])
    found = await proxyconfigs.revisions(client, name, context.params["namespace"])
    return [CompletionItem(str(each.revision.revision), help=", ".join(each.changes) or None) for each in entries(found, ())]


configs, nodes, revisions = map(_completing, (_configs, _nodes, _revisions))


def _ask(find: Find, context: click.Context) -> tuple[CompletionItem, ...]:
    """What is wrong with a cluster or a kubeconfig shows when the command runs."""
    connection = Connection(context.params["kubeconfig"], context.params["context"])

    async def asked() -> tuple[CompletionItem, ...]:
        async with connection.open() as client:
            return tuple(await find(client, context))

    try:
        return asyncio.run(asked())
    except (ClientError, InvalidSpec, OSError, msgspec.MsgspecError):
        return ()


def _within(bound_s: float, ask: Callable[[], Iterable[CompletionItem]]) -> Iterable[CompletionItem]:
    """In a thread: a program for credentials and the resolver of names hold an event loop up."""
    found: list[CompletionItem] = []
    asking = threading.Thread(target=lambda: found.extend(ask()), daemon=True)
    asking.start()
    asking.join(bound_s)
    return found
