"""The time from a subject's start until the kernel holds everything, told by the kernel and counted."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field

from tests.bench import usage
from tests.bench.modes import Tables
from tests.bench.nftables import InterruptedDumpError, word_of
from tests.bench.run import Run
from tests.bench.world import World

POLL_S = 0.002
QUIET_S = 0.3
LOOK_EVERY = 25
"""Polls between looks at the process itself, which cost more than a poll: who measures should not compete for the CPU."""


@dataclass(frozen=True, slots=True)
class Complete:
    """A complete first sync."""

    took_s: float
    cpu_s: float
    tool_rss_mib: float
    """The most that child processes had."""
    stages_s: dict[str, float] = field(default_factory=dict)


async def first_sync(run: Run, world: World) -> Complete | None:
    """Wait until the ruleset is quiet, then count; until the last commit before everything was there it took. None: not in its time."""
    wanted = words_of(world)
    generation, committed_s, tool_mib = run.tables.generation(), 0.0, 0.0
    for poll in itertools.count():
        if (now_s := time.monotonic()) > run.started_s + run.subject.mode.first_sync_within_s:
            break
        if (seen := run.tables.generation()) != generation:
            generation, committed_s = seen, now_s
        elif committed_s and now_s > committed_s + QUIET_S:
            if holds(run.tables, wanted):
                return Complete(committed_s - run.started_s, run.cpu_s(), tool_mib, run.stages())
            committed_s = 0.0  # something is missing: there has to be another commit
        if poll % LOOK_EVERY == 0:
            tool_mib = max(tool_mib, usage.children_rss_mib(run.process.pid))
            run.check()
        await asyncio.sleep(POLL_S)
    return None


def words_of(world: World) -> set[int]:
    """What the kernel must have: every ClusterIP and every endpoint's address."""
    return {word_of(address) for address in world.cluster_ips() | world.endpoint_addresses()}


def holds(tables: Tables, wanted: set[int]) -> bool:
    """Return whether the kernel has all of it."""
    try:
        return wanted <= tables.words()
    except InterruptedDumpError:
        return False
