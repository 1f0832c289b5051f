"""What the process can be: the agent of a node, or a clean-up. Puts the parts together; `begin` and `__main__` call it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import structlog

from proxyconfig_agent import __version__, lock
from proxyconfig_agent.agent import Agent, Reporters, Sources
from proxyconfig_agent.cluster import Cluster
from proxyconfig_agent.dataplane import Dataplane, DataplaneError
from proxyconfig_agent.ingest.values import Address
from proxyconfig_agent.iptables.owned import Owned
from proxyconfig_agent.memory import Memory
from proxyconfig_agent.mode import Modes
from proxyconfig_agent.node import addresses, ctnetlink
from proxyconfig_agent.node.cleanup import FlowCleanup, Served
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.options import Options
from proxyconfig_agent.recall import Recall
from proxyconfig_agent.report.bind import Bind
from proxyconfig_agent.report.catalogue import INVALID_DROPPED, LOCALHOST_ACCEPTED, Metric
from proxyconfig_agent.report.health import Health
from proxyconfig_agent.report.healthports import HealthPorts
from proxyconfig_agent.report.metrics import Metrics
from proxyconfig_agent.report.nodeproxy import Reporter, body_of
from proxyconfig_agent.report.pages import health_routes, metrics_routes
from proxyconfig_agent.report.server import Routes, serve
from proxyconfig_agent.takeover import Takeover
from proxyconfig_agent.telling import Telling
from proxyconfig_agent.watch.desired import FromFile, FromNodeProxy
from proxyconfig_agent.watch.watched import Watched
from proxyconfig_api.conditions import Condition
from proxyconfig_api.names import AGENT, API_VERSION
from proxyconfig_api.nodeproxy import NodeProxyStatus
from proxyconfig_api.spec import Mode
from proxyconfig_client.apply import apply
from proxyconfig_client.connection import Connection, path_of
from proxyconfig_client.events import Events

_log = structlog.get_logger("process")


def data_plane(mode: Mode) -> Dataplane | None:
    """The data plane of a mode, if this agent has it; it takes over from the others."""
    match mode:
        case Mode.NFTABLES:
            return Takeover(_nftables(), _left_by_iptables)
        case Mode.IPTABLES:
            return Takeover(_iptables(), _left_by_nftables)
        case _:
            return None


# A mode is imported only where it is used: each costs memory.


def _nftables() -> Dataplane:
    from proxyconfig_agent.nftables.port import Nftables  # noqa: PLC0415

    return Nftables()


def _iptables() -> Dataplane:
    from proxyconfig_agent.iptables.port import Iptables  # noqa: PLC0415

    return Iptables()


def _accounted() -> Mapping[Metric, int]:
    """What the kernel counts for iptables mode."""
    from proxyconfig_agent.iptables import counters, fixed  # noqa: PLC0415

    found = {
        INVALID_DROPPED: counters.packets(fixed.INVALID_COUNTER),
        LOCALHOST_ACCEPTED: counters.packets(fixed.LOCALHOST_COUNTER),
    }
    return {metric: packets for metric, packets in found.items() if packets is not None}


def _left_by_nftables() -> Iterator[Dataplane]:
    """A kernel without nf_tables has nothing of it."""
    with contextlib.suppress(DataplaneError):
        yield _nftables()


def _left_by_iptables() -> Iterator[Dataplane]:
    """Only where an agent programmed iptables: the chains have kube-proxy's names, and may be those of one that runs."""
    if Owned():
        yield _iptables()


def clean_up() -> int:
    """Remove all that an agent ever made on this node, print what a scan still finds, and return the exit status.

    Raises DataplaneError or OSError."""
    held = lock.try_acquire()
    if held is None:
        sys.stderr.write("an agent runs in this network namespace and would make everything again: stop it first\n")
        return 1
    dataplane, programmed_iptables = Takeover(_nftables(), _left_by_iptables), bool(Owned())
    with held, contextlib.closing(dataplane):
        dataplane.remove()
        findings = Host().restore()
        left = [*dataplane.scan(), *(_left_in_iptables() if programmed_iptables else ())]
    for line in (*left, *(finding.message for finding in findings)):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{len(left)} kernel objects of proxyconfig are left\n")
    return 1 if left else 0


def _left_in_iptables() -> list[str]:
    """Of either back end: the node may use another one than when the rules were made."""
    from proxyconfig_agent.iptables import legacy  # noqa: PLC0415

    with contextlib.closing(_iptables()) as dataplane:
        return list(dict.fromkeys((*dataplane.scan(), *legacy.chains())))


async def work(options: Options, connection: Connection, cluster: Cluster, watched: Watched) -> None:
    """Be the agent of this node until cancelled; the kernel's state stays."""
    release = __version__
    metrics, health = Metrics(release, ""), Health(time.time)
    telling = Telling(cluster, metrics, health, release, time.time)
    sources, reporters = _sources(options, connection), _reporters(options, connection)
    recall = Recall(Memory(options.state, options.node), cluster) if options.state else None
    agent = Agent(
        watched,
        cluster,
        telling,
        Host(),
        sources=sources,
        modes=_modes(metrics),
        reporters=reporters,
        health_ports=HealthPorts(health.serves, telling.unopened),
        recall=recall,
    )
    with contextlib.closing(agent):
        async with asyncio.TaskGroup() as group:
            group.create_task(agent.run())
            group.create_task(telling.post(Events(connection, AGENT, options.node), options.node))
            group.create_task(_page("healthz", options.healthz, health_routes(health, metrics), telling))
            pages = metrics_routes(metrics, lambda: telling.state.mode, agent.configuration)
            group.create_task(_page("metrics", options.metrics, pages, telling))


def _modes(metrics: Metrics) -> Modes:
    """The data planes, each ending stale UDP flows as well; one that takes over from another knows what that served."""
    served: Served = {}
    metrics.count_packets(_accounted)

    def mode_of(mode: Mode) -> Dataplane | None:
        dataplane = data_plane(mode)
        return FlowCleanup(dataplane, ctnetlink, _local_addresses, metrics.flows_deleted, served=served) if dataplane is not None else None

    return mode_of


def _local_addresses() -> Sequence[Address]:
    return [each.address for each in addresses.read() if not each.is_loopback]


async def _page(what: str, bind: Bind | None, routes: Routes, telling: Telling) -> None:
    if bind is not None:
        await serve(what, bind, routes, lambda finding: telling.found(what, *([finding] if finding else [])))


def _sources(options: Options, connection: Connection) -> Sources:
    if options.config is not None:
        path = options.config
        return lambda tell, trouble: FromFile(path, tell, trouble)
    return lambda tell, trouble: FromNodeProxy(connection, options.node, tell, trouble)


def _reporters(options: Options, connection: Connection) -> Reporters:
    path = path_of(API_VERSION, "nodeproxies", options.node, subresource="status")

    async def write(status: NodeProxyStatus) -> None:
        await apply(connection, path, body_of(options.node, status), manager=AGENT)

    def reporter(before: tuple[Condition, ...]) -> Reporter | None:
        return None if options.config is not None else Reporter(write, time.time, before)

    return reporter
