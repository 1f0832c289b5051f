"""Measures one subject at one size: first sync, memory, single changes, a burst of changes. Every step is the same for every subject.

Each step has a limit; what is not done by then is None in the measurement, and its remarks name it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

from tests.bench import changes, firstsync
from tests.bench.changes import Instruments, Singles
from tests.bench.nftables import InterruptedDumpError
from tests.bench.results import FirstSync, Measurement
from tests.bench.run import Run, running
from tests.bench.stages import between
from tests.bench.subjects import Subject
from tests.bench.world import ENDPOINTS, World
from tests.cluster.controlplane import ControlPlane
from tests.cluster.progress import say

STARTS, STARTS_WITHIN_S = 3, 60
"""In separate namespaces; the last one goes on. Fewer when they take very long."""
CHANGES = 50
BURST = 450
SETTLE_S = 5
_SEED = 136


async def measure(api: ControlPlane, subject: Subject, world: World) -> Measurement:
    """Measure a subject against what the API server has now; the world keeps the changes that are made.

    Raises ComponentError if the subject ends.
    """
    result = Measurement(subject.name, subject.mode.name, world.services, ENDPOINTS)
    while True:
        async with running(api, subject) as run:
            result = await _first_sync(run, world, result)
            if result.remarks:
                return result
            if len(result.first_syncs) == STARTS or sum(each.took_s for each in result.first_syncs) > STARTS_WITHIN_S:
                return await _after_start(api, run, world, result)


async def _after_start(api: ControlPlane, run: Run, world: World, result: Measurement) -> Measurement:
    """Everything but the first sync, with one that has begun."""
    result = await _steady(run, result)
    numbers = random.Random(_SEED).sample(range(world.services), CHANGES + BURST)
    async with changes.instruments(api.kubeconfig, world, run) as instruments:
        result = await _changes(run, instruments, numbers[:CHANGES], result)
        result = await _burst(run, instruments, numbers[CHANGES:], result)
    return _counted(run, world, result)


async def _first_sync(run: Run, world: World, result: Measurement) -> Measurement:
    """One more first sync."""
    done = await firstsync.first_sync(run, world)
    if done is None:
        return _remarked(result, f"the first sync did not finish in {run.subject.mode.first_sync_within_s} s")
    _tell(result, f"first sync in {done.took_s:.3f} s, {done.cpu_s:.2f} s of CPU time")
    return replace(
        result,
        first_syncs=(*result.first_syncs, FirstSync(done.took_s, done.cpu_s, between({}, done.stages_s))),
        tool_rss_mib=max(result.tool_rss_mib, done.tool_rss_mib),
    )


async def _steady(run: Run, result: Measurement) -> Measurement:
    """Memory, and CPU time without any change."""
    await asyncio.sleep(SETTLE_S)
    before_s = run.cpu_s()
    await asyncio.sleep(SETTLE_S)
    idle_cpu_ms_per_s = 1000 * (run.cpu_s() - before_s) / SETTLE_S
    return replace(result, rss_mib_steady=run.rss_mib(), idle_cpu_ms_per_s=idle_cpu_ms_per_s)


async def _changes(run: Run, instruments: Instruments, numbers: Sequence[int], result: Measurement) -> Measurement:
    stages, cpu_s = run.stages(), run.cpu_s()
    singles = await changes.one_by_one(instruments, numbers)
    made = singles.made
    run.check()
    if len(made) < len(numbers):
        result = _remarked(result, _fewer(singles, numbers))
    if len(made) < changes.FEWEST:
        return result
    cpu_ms = 1000 * (run.cpu_s() - cpu_s) / len(made)
    done = replace(result, changes=made, cpu_ms_per_change=cpu_ms, change_stages_ms=between(stages, run.stages(), times=len(made)))
    _tell(done, f"{len(made)} changes, median {done.change_ms_median:.1f} ms, worst {done.change_ms_max:.1f} ms, CPU {cpu_ms:.1f} ms each")
    return done


def _fewer(singles: Singles, numbers: Sequence[int]) -> str:
    if singles.late:
        return f"change {len(singles.made) + 1} of {len(numbers)} was not in the kernel after {changes.WITHIN_S} s"
    return f"only {len(singles.made)} single changes instead of {len(numbers)}, as they took {changes.ALL_WITHIN_S} s"


async def _burst(run: Run, instruments: Instruments, numbers: Sequence[int], result: Measurement) -> Measurement:
    cpu_s = run.cpu_s()
    burst = await changes.at_a_rate(instruments, numbers)
    run.check()
    if burst.missing:
        late = f"{burst.missing} of a burst of {len(numbers)} changes were not in the kernel {changes.BURST_WITHIN_S} s after it"
        return _remarked(result, late)
    done = replace(
        result,
        burst_lag_ms=1000 * burst.lag_s,
        burst_cpu_ms_per_change=1000 * (run.cpu_s() - cpu_s) / len(numbers),
        rss_mib_churn=run.rss_mib(),
    )
    _tell(
        done, f"{len(numbers)} changes at {changes.BURST_PER_S} per second, {done.burst_lag_ms:.0f} ms behind, {done.rss_mib_churn:.0f} MiB"
    )
    return done


def _counted(run: Run, world: World, result: Measurement) -> Measurement:
    """Say what is missing in the kernel at the end: nothing, if the subject did its work."""
    try:
        missing = len(firstsync.words_of(world) - run.tables.words())
    except InterruptedDumpError:
        return _remarked(result, "the ruleset was not quiet at the end")
    return _remarked(result, f"{missing} addresses are missing in the kernel at the end") if missing else result


def _remarked(result: Measurement, remark: str) -> Measurement:
    _tell(result, remark)
    return replace(result, remarks=(*result.remarks, remark))


def _tell(result: Measurement, words: str) -> None:
    say(f"{result.subject}, {result.mode}, {result.services:,} Services × {result.endpoints}: {words}")
