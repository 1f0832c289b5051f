"""The command line: `python -m tests.bench [--sizes 1000,5000,20000] [--subjects kube-proxy,proxyconfig]`, as root."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from tests.bench import machine
from tests.bench.load import fill
from tests.bench.measure import measure
from tests.bench.priority import prefer
from tests.bench.report import Report
from tests.bench.results import Measurement, detailed, recorded
from tests.bench.subjects import AGENT, KUBE_PROXY, SUBJECTS, Subject
from tests.bench.world import ENDPOINTS, World
from tests.cluster import packages
from tests.cluster.controlplane import ControlPlane, controlplane
from tests.cluster.errors import ClusterError
from tests.cluster.process import remembered
from tests.cluster.progress import say

ROOT = Path(__file__).parents[2]
SIZES = (1000, 5000, 20000)
KUBE_PROXY_UP_TO = 5000
"""A first sync of 20,000 Services takes kube-proxy minutes, and tells nothing new."""


def main(words: Sequence[str]) -> int:
    """Measure, print, write; the exit status is 0 also when a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure kube-proxy and the agent side by side.")
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help="numbers of Services, comma separated (default: %(default)s)")
    parser.add_argument("--subjects", type=_subjects, default=(), help=f"of {', '.join(SUBJECTS)} (default: {KUBE_PROXY},{AGENT})")
    chosen = parser.parse_args(words)
    signal.signal(signal.SIGTERM, _interrupt)
    plan = list(plan_of(chosen.sizes, chosen.subjects))
    try:
        report = _run(plan)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was started has been cleaned up", file=sys.stderr)
        return 130
    print(f"\n{report.text()}\n")
    _write(report, whole=plan == list(plan_of(SIZES, ())))
    return 0


def plan_of(sizes: Sequence[int], subjects: Sequence[str]) -> Iterator[tuple[int, Subject]]:
    """Sizes in growing order, as the world only grows; kube-proxy at the largest ones only if it was asked for."""
    for services in sorted(sizes):
        for name in subjects or (KUBE_PROXY, AGENT):
            if subjects or name != KUBE_PROXY or services <= KUBE_PROXY_UP_TO:
                yield services, SUBJECTS[name]


def _run(plan: Sequence[tuple[int, Subject]]) -> Report:
    if os.geteuid() != 0:
        raise ClusterError("the benchmark makes network namespaces: run it as root.")
    packages.ensure()
    if (busy := machine.busy_cpus()) > machine.BUSY:
        say(f"other programs use about {busy:.1f} CPUs of this machine: times will be longer than they are")
    prefer(os.getpid())
    with controlplane() as api:
        for component in remembered(api.folder):
            prefer(component.pid)
        measurements = asyncio.run(_measure(api, plan))
        return Report(
            measurements,
            [*machine.description(), f"load of others when it began: {busy:.1f} CPUs"],
            machine.version(api.program("kube-proxy")),
        )


async def _measure(api: ControlPlane, plan: Sequence[tuple[int, Subject]]) -> list[Measurement]:
    world, measurements = World(), []
    for services, subject in plan:
        if new := world.grow(services):
            say(f"creating {len(new):,} Services with {ENDPOINTS} endpoints each")
            await fill(api, world, new)
        measurements.append(await _measured(api, subject, world))
    return measurements


async def _measured(api: ControlPlane, subject: Subject, world: World) -> Measurement:
    """A subject that fails does not take the numbers of the others with it."""
    try:
        return await measure(api, subject, world)
    except ClusterError as error:
        say(f"{subject.name} failed: {error}")
        return Measurement(subject.name, subject.mode, world.services, ENDPOINTS, remarks=(str(error).partition("\n")[0],))


def _write(report: Report, *, whole: bool) -> None:
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    for name, listed in (
        ("results.json", [recorded(one) for one in report.measurements]),
        ("details.json", [detailed(one) for one in report.measurements]),
    ):
        (folder / name).write_text(json.dumps(listed, indent=1) + "\n")
    if whole:
        (ROOT / "docs" / "benchmarks.md").write_text(report.page())
    for comparison in report.missed():
        print(f"missed: {comparison.quantity.words} is {comparison.ratio:.4f} of kube-proxy's, the goal is {comparison.goal}")


def _sizes(words: str) -> tuple[int, ...]:
    return tuple(int(word) for word in words.split(","))


def _subjects(words: str) -> tuple[str, ...]:
    names = tuple(words.split(","))
    if unknown := [name for name in names if name not in SUBJECTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(SUBJECTS)}")
    return names


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
