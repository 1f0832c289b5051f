"""The command line: `python -m tests.bench [--modes nftables,iptables] [--sizes 1000,5000] [--subjects proxyconfig] [--cold 5000x50]`.

As root. What is not chosen is measured as well, but for cold starts alone: `--cold` by itself measures nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import msgspec
from tests.bench import machine, otherkernel
from tests.bench.cold import SHAPES, cold_start
from tests.bench.load import fill
from tests.bench.measure import measure
from tests.bench.modes import IPTABLES, IPTABLES_LEGACY, IPVS, MODES, NFTABLES, Mode
from tests.bench.priority import prefer
from tests.bench.report import Report
from tests.bench.results import ColdStart, Measurement, detailed, recorded
from tests.bench.subjects import AGENT, KUBE_PROXY, NAMES, Subject, subject
from tests.bench.world import ENDPOINTS, World
from tests.cluster import binaries, packages
from tests.cluster.controlplane import ControlPlane, controlplane
from tests.cluster.errors import ClusterError
from tests.cluster.process import remembered
from tests.cluster.progress import say
from tests.kernel.userspace import measure as connections

ROOT = Path(__file__).parents[2]
SIZES: Mapping[str, Sequence[int]] = {
    NFTABLES.name: (1000, 5000, 20000),
    IPTABLES.name: (1000, 5000),
    IPTABLES_LEGACY.name: (1000, 5000),
    IPVS.name: (1000, 5000),
}
"""iptables itself is linear or worse in the number of Services, which 20,000 of them tell no better."""
KUBE_PROXY_UP_TO: Mapping[str, int] = {NFTABLES.name: 5000, IPTABLES.name: 5000, IPTABLES_LEGACY.name: 5000, IPVS.name: 1000}
"""A first sync of more Services takes kube-proxy minutes, and tells nothing new. In ipvs mode it starts a process for each ClusterIP."""

USERSPACE = "userspace"
"""What this mode costs is in its connections: they are measured beside those of nftables and iptables mode, for docs/userspace.md."""
SECONDS = 3.0
"""For each of its measurements."""

Step = tuple[int, str, str]
"""Services, subject, mode."""


def main(words: Sequence[str]) -> int:
    """Measure, print, write; the exit status is 0 also when a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure kube-proxy and the agent side by side.")
    parser.add_argument("--modes", type=_of((*MODES, USERSPACE)), default=(), help=f"of {', '.join((*MODES, USERSPACE))} (default: all)")
    parser.add_argument("--sizes", type=_sizes, default=(), help="numbers of Services (default: those of each mode)")
    parser.add_argument("--subjects", type=_of(NAMES), default=(), help=f"of {', '.join(NAMES)} (default: {KUBE_PROXY},{AGENT})")
    parser.add_argument("--cold", type=_shapes, default=(), help="cold starts only: SERVICESxENDPOINTS, for instance 5000x50")
    parser.add_argument("--report", type=Path, metavar="FILE", help="where the report goes, instead of the page and the files in .bench")
    chosen = parser.parse_args(words)
    signal.signal(signal.SIGTERM, _interrupt)
    everything = not (chosen.modes or chosen.sizes or chosen.subjects or chosen.cold)
    try:
        _ready()
        if not chosen.cold:
            for mode in chosen.modes or (*MODES, USERSPACE):
                if mode == USERSPACE:
                    connections.main(SECONDS)
                elif chosen.report:
                    chosen.report.write_bytes(msgspec.json.encode(_compared(mode, chosen.sizes, chosen.subjects)))
                else:
                    _tell(_compared(mode, chosen.sizes, chosen.subjects), whole=not (chosen.sizes or chosen.subjects))
        if chosen.cold or everything:
            _tell(_cold(chosen.cold or SHAPES), whole=not chosen.cold or tuple(chosen.cold) == SHAPES)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was started has been cleaned up", file=sys.stderr)
        return 130
    return 0


def plan_of(mode: str, sizes: Sequence[int], subjects: Sequence[str]) -> Iterator[Step]:
    """Sizes in growing order, as the world only grows; kube-proxy at the largest ones only if it was asked for."""
    for services in sorted(sizes or SIZES[mode]):
        for name in subjects or (KUBE_PROXY, AGENT):
            if subjects or name != KUBE_PROXY or services <= KUBE_PROXY_UP_TO[mode]:
                yield services, name, mode


def _ready() -> None:
    if os.geteuid() != 0:
        raise ClusterError("the benchmark makes network namespaces: run it as root.")
    packages.ensure()
    prefer(os.getpid())


def _compared(mode: str, sizes: Sequence[int], subjects: Sequence[str]) -> Report:
    busy = _busy()
    if not MODES[mode].is_here():
        chosen = {"--sizes": ",".join(map(str, sizes)), "--subjects": ",".join(subjects)}
        return replace(otherkernel.compared(mode, [word for pair in chosen.items() if pair[1] for word in pair]), busy_cpus={mode: busy})
    with controlplane() as api:
        for component in remembered(api.folder):
            prefer(component.pid)
        measurements = asyncio.run(_measure(api, list(plan_of(mode, sizes, subjects))))
        kernels = {mode: words} if (words := machine.other_kernel()) else {}
        kube_proxy = machine.version(api.program("kube-proxy"))
        return Report(measurements, machine.description(), kube_proxy, busy_cpus={mode: busy}, kernels=kernels)


def _cold(shapes: Sequence[tuple[int, int]]) -> Report:
    busy = _busy()
    starts: list[ColdStart] = [asyncio.run(cold_start(*shape)) for shape in shapes]
    kube_proxy = machine.version(binaries.ensure("kubernetes")["kube-proxy"])
    return Report([], machine.description(), kube_proxy, starts, {"cold starts": busy})


def _busy() -> float:
    if (busy := machine.busy_cpus()) > machine.BUSY:
        say(f"other programs use about {busy:.1f} CPUs of this machine: times will be longer than they are")
    return busy


async def _measure(api: ControlPlane, plan: Sequence[Step]) -> list[Measurement]:
    world, measurements = World(), []
    for services, name, mode in plan:
        if new := world.grow(services):
            say(f"creating {len(new):,} Services with {ENDPOINTS} endpoints each")
            await fill(api, world, new)
        measurements.append(await _measured(api, subject(name, MODES[mode]), world))
    return measurements


async def _measured(api: ControlPlane, measured: Subject, world: World) -> Measurement:
    """A subject that fails does not take the numbers of the others with it."""
    try:
        return await measure(api, measured, world)
    except ClusterError as error:
        say(f"{measured.name} failed: {error}")
        return Measurement(measured.name, measured.mode.name, world.services, ENDPOINTS, remarks=(str(error).partition("\n")[0],))


def _tell(report: Report, *, whole: bool) -> None:
    """Print; keep what is the whole of a mode, and write the page of all that is kept."""
    print(f"\n{report.text()}\n")
    for missed in report.missed():
        what = f"{missed.quantity.words} in mode {missed.mode} at {missed.services:,} Services"
        print(f"missed: {what} is {missed.ratio:.4f} of kube-proxy's, the goal is {missed.goal}")
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    kept = folder / "report.json"
    all_of_it = msgspec.json.decode(kept.read_bytes(), type=Report).renewed(report) if kept.exists() else report
    for name, listed in (
        ("results.json", [recorded(one) for one in all_of_it.measurements]),
        ("details.json", [detailed(one) for one in all_of_it.measurements]),
    ):
        (folder / name).write_text(json.dumps(listed, indent=1) + "\n")
    if whole:
        kept.write_bytes(msgspec.json.encode(all_of_it))
        (ROOT / "docs" / "benchmarks.md").write_text(all_of_it.page())


def _sizes(words: str) -> tuple[int, ...]:
    return tuple(int(word) for word in words.split(","))


def _shapes(words: str) -> tuple[tuple[int, int], ...]:
    pairs = [word.partition("x") for word in words.split(",")]
    return tuple((int(services), int(endpoints)) for services, _, endpoints in pairs)


def _of(known: Mapping[str, Mode] | Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """A parser of comma-separated names."""

    def names(words: str) -> tuple[str, ...]:
        found = tuple(words.split(","))
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return found

    return names


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
