"""The command line: `python -m tests.cluster`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from tests.cluster import binaries, packages, registry, remains
from tests.cluster.errors import ClusterError


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Kubernetes on this machine, for tests and demos.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("packages", help="install the distribution's packages that are missing")
    commands.add_parser("binaries", help="build the components that the cache does not have")
    commands.add_parser("leftovers", help="list everything on this machine that belongs to a cluster; status 1 if there is anything")
    chosen = parser.parse_args(words)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(chosen)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; what was started has been cleaned up", file=sys.stderr)
        return 130
    return 1


def _run(chosen: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise ClusterError("a cluster is made of network namespaces and cgroups: run this as root.")
    if chosen.command == "leftovers":
        return _leftovers()
    packages.ensure()
    if chosen.command == "binaries":
        for program, path in binaries.ensure().items():
            print(f"{program}\t{path}")
    return 0


def _leftovers() -> int:
    lines = [f"cluster {number}: {line}" for number in registry.NUMBERS for line in remains.found(number)]
    print("\n".join(lines) or "nothing is left")
    return 1 if lines else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
