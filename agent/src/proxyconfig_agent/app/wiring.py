"""What the process can be: the agent of a node, or a clean-up. Puts the parts together; `begin` and `__main__` call it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import structlog

from proxyconfig_agent import __version__
from proxyconfig_agent.app import instance_lock
from proxyconfig_agent.app.active_mode import Modes
from proxyconfig_agent.app.controller import NodeController, Reporters, Sources
from proxyconfig_agent.app.options import Options
from proxyconfig_agent.conntrack import ctnetlink
from proxyconfig_agent.conntrack.cleaner import ConntrackCleaner, Served
from proxyconfig_agent.dataplane.iptables.sync.ownership import Ownership
from proxyconfig_agent.dataplane.port import Dataplane, DataplaneError
from proxyconfig_agent.dataplane.takeover import Takeover
from proxyconfig_agent.ingest.model import Address
from proxyconfig_agent.node import rtnetlink
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.report.healthcheck.ports import HealthPorts
from proxyconfig_agent.report.http.bind_address import Bind
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.http.routes import health_routes, metrics_routes
from proxyconfig_agent.report.http.server import Routes, serve
from proxyconfig_agent.report.metrics.definitions import INVALID_DROPPED, LOCALHOST_ACCEPTED, Metric
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.report.status.nodeproxy import Reporter, body_of
from proxyconfig_agent.state.checkpoint import CheckpointFile
from proxyconfig_agent.state.checkpoint_loader import Checkpointer
from proxyconfig_agent.state.cluster import Cluster
from proxyconfig_agent.watch.desired import FileSource, NodeProxySource
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_api.conditions import Condition
from proxyconfig_api.names import AGENT, API_VERSION
from proxyconfig_api.nodeproxy import NodeProxyStatus
from proxyconfig_api.spec import Mode
from proxyconfig_client.api import ApiClient, path_of
from proxyconfig_client.apply import apply
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
    from proxyconfig_agent.dataplane.nftables.nftables import Nftables  # noqa: PLC0415

    return Nftables()


def _iptables() -> Dataplane:
    from proxyconfig_agent.dataplane.iptables.iptables import Iptables  # noqa: PLC0415

    return Iptables()


def _accounted() -> Mapping[Metric, int]:
    """What the kernel counts for iptables mode."""
    from proxyconfig_agent.dataplane.iptables.kernel import nfacct  # noqa: PLC0415
    from proxyconfig_agent.dataplane.iptables.model import static_rules  # noqa: PLC0415

    found = {
        INVALID_DROPPED: nfacct.packets(static_rules.INVALID_COUNTER),
        LOCALHOST_ACCEPTED: nfacct.packets(static_rules.LOCALHOST_COUNTER),
    }
    return {metric: packets for metric, packets in found.items() if packets is not None}


def _left_by_nftables() -> Iterator[Dataplane]:
    """A kernel without nf_tables has nothing of it."""
    with contextlib.suppress(DataplaneError):
        yield _nftables()


def _left_by_iptables() -> Iterator[Dataplane]:
    """Only where an agent programmed iptables: the chains have kube-proxy's names, and may be those of one that runs."""
    if Ownership():
        yield _iptables()


def clean_up() -> int:
    """Remove all that an agent ever made on this node, print what a scan still finds, and return the exit status.

    Raises DataplaneError or OSError."""
    held = instance_lock.try_acquire()
    if held is None:
        sys.stderr.write("an agent runs in this network namespace and would make everything again: stop it first\n")
        return 1
    dataplane, programmed_iptables = Takeover(_nftables(), _left_by_iptables), bool(Ownership())
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
    from proxyconfig_agent.dataplane.iptables.tools import legacy_tables  # noqa: PLC0415

    with contextlib.closing(_iptables()) as dataplane:
        return list(dict.fromkeys((*dataplane.scan(), *legacy_tables.chains())))


async def work(options: Options, connection: ApiClient, cluster: Cluster, watched: Informers) -> None:
    """Be the agent of this node until cancelled; the kernel's state stays."""
    release = __version__
    metrics, health = Metrics(release, ""), Health(time.time)
    telling = StatusRecorder(cluster, metrics, health, release, time.time)
    sources, reporters = _sources(options, connection), _reporters(options, connection)
    recall = Checkpointer(CheckpointFile(options.state, options.node), cluster) if options.state else None
    agent = NodeController(
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
        return (
            ConntrackCleaner(dataplane, ctnetlink, _local_addresses, metrics.flows_deleted, served=served)
            if dataplane is not None
            else None
        )

    return mode_of


def _local_addresses() -> Sequence[Address]:
    return [each.address for each in rtnetlink.read() if not each.is_loopback]


async def _page(what: str, bind: Bind | None, routes: Routes, telling: StatusRecorder) -> None:
    if bind is not None:
        await serve(what, bind, routes, lambda finding: telling.found(what, *([finding] if finding else [])))


def _sources(options: Options, connection: ApiClient) -> Sources:
    if options.config is not None:
        path = options.config
        return lambda tell, trouble: FileSource(path, tell, trouble)
    return lambda tell, trouble: NodeProxySource(connection, options.node, tell, trouble)


def _reporters(options: Options, connection: ApiClient) -> Reporters:
    path = path_of(API_VERSION, "nodeproxies", options.node, subresource="status")

    async def write(status: NodeProxyStatus) -> None:
        await apply(connection, path, body_of(options.node, status), manager=AGENT)

    def reporter(before: tuple[Condition, ...]) -> Reporter | None:
        return None if options.config is not None else Reporter(write, time.time, before)

    return reporter
