"""Cold starts of the agent in clusters larger than those that it is compared in: how long, how much at once, what the kernel says to it."""

from __future__ import annotations

import contextlib
import os

from tests.bench import firstsync, usage
from tests.bench.load import fill
from tests.bench.modes import NFTABLES
from tests.bench.priority import prefer
from tests.bench.results import ColdStart
from tests.bench.run import running
from tests.bench.stages import between
from tests.bench.subjects import AGENT, subject
from tests.bench.world import World
from tests.cluster.controlplane import controlplane
from tests.cluster.process import remembered
from tests.cluster.progress import say

SHAPES = ((10_000, 2), (5_000, 50), (44_000, 1))
"""Services and the endpoints of each: those that kube-proxy's users have complained about."""


async def cold_start(services: int, endpoints: int) -> ColdStart:
    """Fill a new API server with this, and start the agent."""
    world = World(endpoints)
    with controlplane() as api:
        for component in remembered(api.folder):
            prefer(component.pid)
        say(f"creating {services:,} Services with {endpoints} endpoints each")
        await fill(api, world, world.grow(services))
        complaints = _soft_lockups()
        async with running(api, subject(AGENT, NFTABLES)) as run:
            before = run.tables.generation()
            done = await firstsync.first_sync(run, world)
            if done is None:
                return ColdStart(services, endpoints, None)
            result = ColdStart(
                services,
                endpoints,
                done.took_s,
                done.cpu_s,
                run.tables.generation() - before,
                usage.peak_rss_mib(run.process.pid),
                _soft_lockups() - complaints,
                between({}, done.stages_s),
            )
    say(f"cold start with {services:,} × {endpoints} in {done.took_s:.2f} s, {result.transactions} transactions")
    return result


def _soft_lockups() -> int:
    """How often the kernel has complained of one since it started, as far as its log goes back."""
    found = 0
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(BrokenPipeError):  # older lines were overwritten meanwhile
                    found += b"soft lockup" in os.read(descriptor, 8192)
    finally:
        os.close(descriptor)
    return found
