"""The command line: `python -m tests.kernels`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.kernels import build, counted, machine, modechanges, outside, suite
from tests.kernels.machine import Task
from tests.kernels.variants import EVERY

_NAMES = [kernel.name for series in EVERY for kernel in series.kernels]


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description="Other kernels, as ordinary processes.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="build the kernels that the cache does not have; prints them")
    test = commands.add_parser("test", help="all tests that other kernels decide: `make kernels`")
    test.add_argument("--junit-xml", type=Path, metavar="FILE", help="where a report of all of them goes")
    count = commands.add_parser("count", help="run all kernel tests on a kernel, part by part, and count them")
    count.add_argument("kernel", choices=_NAMES)
    count.add_argument("parts", nargs="*", metavar="PART", help=f"all by default: {', '.join(counted.PARTS)}")
    commands.add_parser("mode-changes", help="change between all modes under traffic, here and on Linux 6.1, and write docs/modes.md")
    boot = commands.add_parser("run", help="run a command on a kernel, in the repository, as root")
    boot.add_argument("kernel", choices=_NAMES)
    boot.add_argument("--parameter", action="append", default=[], metavar="WORD", help="for its command line: ipv6.disable=1")
    boot.add_argument("--api-server", action="store_true", help="give it one that runs outside, for tests that need one")
    boot.add_argument("--bound", type=float, default=machine.BOUND_S, metavar="SECONDS", help="until it is ended (%(default)s)")
    boot.add_argument("words", nargs="+", metavar="COMMAND", help="after --, the command with its arguments")
    chosen = parser.parse_args(words)
    if unknown := set(getattr(chosen, "parts", ())) - set(counted.PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(counted.PARTS)}")
    try:
        return _run(chosen)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace) -> int:
    match chosen.command:
        case "run":
            boot = outside.run if chosen.api_server else machine.run
            with machine.shared() as folder:
                return boot(build.program(chosen.kernel), Task(chosen.words, chosen.parameter), folder, chosen.bound)
        case "count":
            return counted.run(build.program(chosen.kernel), chosen.parts or counted.PARTS)
        case "mode-changes":
            return modechanges.run(build.program("complete"))
        case "test":
            return suite.run(build.ensure(), chosen.junit_xml)
    print("\n".join(f"{name}\t{program}" for name, program in build.ensure().items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
