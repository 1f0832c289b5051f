"""Endpoint changes while a subject runs: one by one with rests between them, and many at a steady rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import Write, Writer
from tests.bench.modes import Events
from tests.bench.results import Change
from tests.bench.run import Run
from tests.bench.watch import Watch, watching
from tests.bench.world import World, cluster_ip

from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import from_kubeconfig

PAUSE_S = 1.1
"""Before each single change: longer than kube-proxy's minSyncPeriod, so that its rest never counts as its time."""
WITHIN_S = 120
"""In ipvs mode kube-proxy works on a change of any of 1,000 Services for seconds, and on a busy machine for many."""
ALL_WITHIN_S, FEWEST = 180, 5
"""When single changes take very long, there are fewer of them."""
BURST_PER_S = 20
BURST_WITHIN_S = 90


@dataclass(frozen=True, slots=True)
class Instruments:
    """What changes endpoints, and what tells where the change has arrived."""

    writer: Writer
    watch: Watch
    events: Events

    async def change(self, number: int) -> tuple[Write, asyncio.Future[float]]:
        """Replace an endpoint of the Service with this number; the future is when the kernel has it."""
        seen = self.events.arrival(self.writer.next_address, cluster_ip(number))
        return await self.writer.replace_endpoint(number), seen


@dataclass(frozen=True, slots=True)
class Singles:
    """Single changes; `late`: one more did not arrive in time."""

    made: tuple[Change, ...]
    late: bool = False


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of a burst; `missing` changes did not arrive in time."""

    lag_s: float
    missing: int


@asynccontextmanager
async def instruments(kubeconfig: Path, world: World, run: Run) -> AsyncIterator[Instruments]:
    """Give the instruments for one run."""
    async with ApiClient(from_kubeconfig(kubeconfig), user_agent="bench") as api, watching(api) as watch:
        events = run.subject.mode.events(run.namespace)
        try:
            yield Instruments(Writer(api, world), watch, events)
        finally:
            events.close()


async def one_by_one(instruments: Instruments, numbers: Sequence[int]) -> Singles:
    """Change one endpoint of each of these Services; ends early with a change that does not arrive in time, or when it takes too long."""
    changes: list[Change] = []
    end_s = time.monotonic() + ALL_WITHIN_S
    for number in numbers:
        if time.monotonic() > end_s and len(changes) >= FEWEST:
            break
        await asyncio.sleep(PAUSE_S)
        told = instruments.watch.arrival(number)
        write, seen = await instruments.change(number)
        try:
            async with asyncio.timeout(WITHIN_S):
                told_s, seen_s = await told, await seen
        except TimeoutError:
            return Singles(tuple(changes), late=True)
        changes.append(Change(*(1000 * (moment_s - write.sent_s) for moment_s in (write.answered_s, told_s, seen_s))))
    return Singles(tuple(changes))


async def at_a_rate(instruments: Instruments, numbers: Sequence[int]) -> Burst:
    """Change one endpoint of each of these Services, whatever the subject makes of it; wait until all have arrived."""
    loop = asyncio.get_running_loop()
    arrivals, last_s, due_s = [], 0.0, loop.time()
    for number in numbers:
        due_s += 1 / BURST_PER_S
        await asyncio.sleep(due_s - loop.time())
        write, seen = await instruments.change(number)
        arrivals.append(seen)
        last_s = write.answered_s
    arrived, missing = await asyncio.wait(arrivals, timeout=BURST_WITHIN_S)
    return Burst(max(0.0, max((seen.result() for seen in arrived), default=0.0) - last_s), len(missing))
