"""The first moments of an agent: ask the API server for its lists, then get ready. Imports no more than that takes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import structlog

from proxyconfig_agent import __version__
from proxyconfig_agent.app import instance_lock
from proxyconfig_agent.app.options import Options
from proxyconfig_agent.ingest.model import Node, NodeName
from proxyconfig_agent.report.metrics.eventloop import Turns
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_api.objects.names import AGENT
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection import config

_log = structlog.get_logger("process")

Work = Callable[[Options, ApiClient, ClusterState, Informers, Turns], Awaitable[None]]


async def serve_node(options: Options, turns: Turns) -> None:
    """Be the agent of this node until SIGTERM or SIGINT; the kernel's state stays. Raises ConfigurationError."""
    how = config.from_kubeconfig(options.kubeconfig) if options.kubeconfig else config.in_cluster()
    _log.info("starting", node=options.node, version=__version__, server=how.server)
    async with ApiClient(how, user_agent=f"{AGENT}/{__version__}") as connection:
        work, stopped = asyncio.ensure_future(_work(options, connection, turns)), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        end = asyncio.ensure_future(stopped.wait())
        await asyncio.wait((work, end), return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        if work.done():
            work.result()  # raises why
        work.cancel()
        await asyncio.gather(work, end, return_exceptions=True)
        _log.info("stopped", advice="the Services stay in the kernel; --cleanup removes them")


async def _work(options: Options, connection: ApiClient, turns: Turns) -> None:
    with await instance_lock.acquire():
        cluster = ClusterState(Node(NodeName(options.node)), started_at=time.time())
        watched = Informers(connection, cluster)
        async with asyncio.TaskGroup() as group:
            watched.begin(group)
            # In a thread, so that the lists come in meanwhile.
            work = await asyncio.to_thread(_imported)
            await work(options, connection, cluster, watched, turns)


def _imported() -> Work:
    from proxyconfig_agent.app.wiring import work  # noqa: PLC0415

    return work
