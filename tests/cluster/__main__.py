"""The command line: `python -m tests.cluster`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.cluster import binaries, cluster, demo, deploy, images, packages, registry, remains
from tests.cluster.errors import ClusterError


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Kubernetes on this machine, for tests and demos.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("packages", help="install the distribution's packages that are missing")
    commands.add_parser("prepare", help="packages, components and images: everything that a first run has to make; prints the programs")
    commands.add_parser("leftovers", help="list everything on this machine that belongs to a cluster; status 1 if there is anything")
    up = commands.add_parser("up", help="start a cluster")
    up.add_argument("--nodes", type=int, default=2, choices=range(1, 10), metavar="N", help="1 to 9, default 2")
    down = commands.add_parser("down", help="end a cluster and remove everything of it")
    load = commands.add_parser("load", help="import an image archive into every node")
    load.add_argument("archive", type=Path)
    shown = commands.add_parser("demo", help="show the product on a cluster: `make demo`")
    shown.add_argument("--nodes", type=int, default=2, choices=range(1, 10), metavar="N", help="1 to 9, default 2")
    shown.add_argument("--mode", default="nftables", help="default %(default)s")
    commands.add_parser("deploy", help="apply manifests/ to the cluster of KUBECONFIG, or to the local one")
    for command in (up, down, load, shown):
        command.add_argument("--name", default=cluster.DEFAULT_NAME, help="which cluster, default %(default)s")
    chosen = parser.parse_args(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _run(chosen)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 1


def _run(chosen: argparse.Namespace) -> int:
    if os.geteuid() != 0 and chosen.command != "deploy":
        raise ClusterError("a cluster is made of network namespaces and cgroups: run this as root.")
    if chosen.command == "leftovers":
        return _leftovers()
    if chosen.command != "deploy":
        packages.ensure()
    match chosen.command:
        case "prepare":
            print("\n".join(f"{program}\t{path}" for program, path in binaries.ensure().items()))
            images.testing()
        case "up":
            made = cluster.up(chosen.name, chosen.nodes)
            print(f"export KUBECONFIG={made.kubeconfig}\nexport PATH=$PATH:{made.plane.program('kubectl').parent}")
        case "down":
            cluster.down(chosen.name)
        case "load":
            cluster.find(chosen.name).load(chosen.archive.resolve())
        case "deploy":
            deploy.apply(deploy.target())
        case "demo":
            demo.run(chosen.name, chosen.nodes, chosen.mode)
    return 0


def _leftovers() -> int:
    folders = {entry.number: entry.folder for entry in registry.entries()}
    left = {number: list(remains.found(number, folders.get(number))) for number in registry.NUMBERS}
    lines = [f"cluster {number} ({folders.get(number, 'not registered')}): {line}" for number, found in left.items() for line in found]
    print("\n".join(lines) or "nothing is left")
    return 1 if lines else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
