"""Composition root: wires the agent of a node."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from functools import partial

import structlog
from msgspec.structs import replace

from proxyconfig_agent import __version__
from proxyconfig_agent.app.options import Options
from proxyconfig_agent.checks.probes import counters
from proxyconfig_agent.checks.probes.pod import client as probe_pod
from proxyconfig_agent.checks.probes.prober import probe
from proxyconfig_agent.checks.probes.signals import Signals
from proxyconfig_agent.controller.active.active_mode import Modes
from proxyconfig_agent.controller.change.change_record import ChangeRecord
from proxyconfig_agent.controller.change.transaction import Observation
from proxyconfig_agent.controller.controller import NodeController
from proxyconfig_agent.controller.inputs.other_proxy import OtherProxy
from proxyconfig_agent.controller.inputs.sources import Reporters, Sources
from proxyconfig_agent.dataplane.modes.modes import built, departure, installed
from proxyconfig_agent.dataplane.port import Installed
from proxyconfig_agent.ingest.model import Address
from proxyconfig_agent.node.addresses import rtnetlink
from proxyconfig_agent.node.conntrack import ctnetlink, statistics
from proxyconfig_agent.node.conntrack.cleaner import ConntrackCleaner
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.node.other_proxies import other_proxies_reader, other_proxies_remover
from proxyconfig_agent.report.healthcheck.ports import HealthPorts
from proxyconfig_agent.report.http.bind_address import Bind
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.http.listening import serve
from proxyconfig_agent.report.http.page import Page
from proxyconfig_agent.report.http.routes import health_routes, metrics_routes
from proxyconfig_agent.report.metrics.definitions import CONNTRACK_TABLE
from proxyconfig_agent.report.metrics.eventloop import Turns
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.report.status.heartbeat import Heartbeat
from proxyconfig_agent.report.status.nodeproxy import Reporter, body_of
from proxyconfig_agent.report.watches import Watches
from proxyconfig_agent.state.checkpoint import CheckpointFile
from proxyconfig_agent.state.checkpoint_loader import Checkpointer
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Source
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.watch.desired import FileSource, NodeProxySource, Tell, Trouble
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_api.objects.names import AGENT, API_VERSION
from proxyconfig_api.objects.nodeproxy import NodeProxyStatus
from proxyconfig_api.spec.sections import Mode
from proxyconfig_api.status.conditions import Condition
from proxyconfig_client.apiserver.apply import apply
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.apiserver.events import Events
from proxyconfig_client.http.server import Routes
from proxyconfig_client.process.clock import Clock

_log = structlog.get_logger("process")


async def work(options: Options, connection: ApiClient, cluster: ClusterState, informers: Informers, turns: Turns) -> None:
    """Be the agent of this node until cancelled; the kernel's state stays."""
    release = __version__
    metrics, health = Metrics(release, ""), Health(Clock())
    metrics.count_requests(connection.requests)
    turns.observe = metrics.event_loop_delayed
    recorder = StatusRecorder(cluster, metrics, health, release, Clock())
    programmed = Programmed()
    metrics.count_local(programmed.frontends)
    watches = Watches(time.monotonic, metrics.watch_connected)
    watches.follow(*informers.reflectors)
    sources, reporters = _sources(options, connection, watches), _reporters(options, connection)
    cleaner = ConntrackCleaner(
        ctnetlink,
        _local_addresses,
        metrics.flows_deleted,
        partial(recorder.set_finding, Source.CONNTRACK),
    )
    metrics_page = Page()
    checkpointer = Checkpointer(CheckpointFile(options.state, options.node), cluster) if options.state else None
    agent = NodeController(
        informers,
        cluster,
        programmed,
        recorder,
        Host(),
        sources=sources,
        modes=_modes(metrics, cleaner),
        reporters=reporters,
        health_ports=HealthPorts(health.serves, recorder.unopened),
        watches=watches,
        observation=Observation(ChangeRecord(), probe, probe_pod.ask, Signals(counters.read, time.monotonic), Clock()),
        other_proxy=OtherProxy(
            look=other_proxies_reader.look,
            remove=other_proxies_remover.remove,
            running=other_proxies_reader.running,
            has_chains=other_proxies_reader.has_chains,
            leave_port=metrics_page.leave,
        ),
        depart=departure,
        checkpointer=checkpointer,
    )
    with contextlib.closing(agent):
        async with asyncio.TaskGroup() as group:
            group.create_task(agent.run())
            group.create_task(Heartbeat(connection.call, options.node, agent.vouches_for, clock=Clock()).run())
            group.create_task(cleaner.run())
            group.create_task(recorder.post(Events(connection, AGENT, options.node), options.node))
            group.create_task(_page(Source.HEALTHZ, options.healthz, health_routes(health, metrics), recorder))
            pages = metrics_routes(metrics, lambda: recorder.state.mode.effective, agent.configuration)
            group.create_task(metrics_page.run(partial(_page, Source.METRICS, options.metrics, pages, recorder)))


def _modes(metrics: Metrics, cleaner: ConntrackCleaner) -> Modes:
    """The data planes, whose commits the cleaner follows."""
    metrics.count_packets(_counters)
    metrics.read_conntrack(_conntrack)

    def installed_and_followed(mode: Mode) -> Installed:
        made = installed(mode)
        return replace(made, dataplane=cleaner.after(made.dataplane))

    return installed_and_followed


def _counters() -> Mapping[str, int]:
    """What the kernel counts for the modes, by name of the metric."""
    return {name: packets for spec in built() for name, packets in spec.counters().items()}


def _conntrack() -> Mapping[str, int]:
    """The state of the conntrack table, by name of the metric."""
    table = statistics.read()
    values = zip(CONNTRACK_TABLE, (table.entries, table.limit, table.insert_failed, table.dropped), strict=True)
    return {metric.name: value for metric, value in values if value is not None}


def _local_addresses() -> Sequence[Address]:
    return [each.address for each in rtnetlink.read() if not each.is_loopback]


async def _page(source: Source, bind: Bind | None, routes: Routes, recorder: StatusRecorder) -> None:
    if bind is not None:
        await serve(source.value, bind, routes, partial(recorder.set_finding, source))


def _sources(options: Options, connection: ApiClient, watches: Watches) -> Sources:
    if options.config is not None:
        path = options.config
        return lambda tell, trouble: FileSource(path, tell, trouble)

    def source(tell: Tell, trouble: Trouble) -> NodeProxySource:
        made = NodeProxySource(connection, options.node, tell, trouble)
        watches.follow(made.reflector)
        return made

    return source


def _reporters(options: Options, connection: ApiClient) -> Reporters:
    path = path_of(API_VERSION, "nodeproxies", options.node, subresource="status")

    async def write(status: NodeProxyStatus) -> None:
        await apply(connection, path, body_of(options.node, status), manager=AGENT)

    def reporter(before: tuple[Condition, ...]) -> Reporter | None:
        return None if options.config is not None else Reporter(write, Clock(), before)

    return reporter
