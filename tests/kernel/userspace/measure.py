"""What userspace mode costs a connection, beside the other modes, in one run: `make bench MODES=userspace`.

A pod of the node under test through a ClusterIP to another pod of the node, over veth pairs. Prints the table of docs/userspace.md.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from tests.kernel.traffic.inprocess import DATAPLANES, Pipeline, dataplane
from tests.kernel.traffic.stories import endpoint, service, slices, story, the_service
from tests.support.netns.programs import ROOT
from tests.support.netns.topology import Topology, topology
from tests.support.scenarios.configs import CONFIGS

MODULE = (sys.executable, "-m", "tests.kernel.userspace.load")
PORT = 8080


def main(seconds: float) -> None:
    print("| mode | one stream | connections per second | connect, ask, close | question on an open connection |")
    print("|---|---|---|---|---|")
    with topology() as world, _served(world):
        for mode in ("nftables", "iptables", "userspace"):
            assert mode in DATAPLANES
            with dataplane(world, mode) as made:
                (objects,) = story((service(), slices(endpoint("near1"))))
                Pipeline(world, made, CONFIGS["default"], mode).apply(objects)
                print(_line(world, mode, the_service(objects)["spec"]["clusterIPs"][0], seconds), flush=True)


def _line(world: Topology, mode: str, address: str, seconds: float) -> str:
    stream, connect, echo = (_measured(world, kind, address, seconds) for kind in ("stream", "connect", "echo"))
    gigabits, times = 8 * stream["per_second"] / 1e9, [f"{each['median_us']:.0f} µs (p99 {each['p99_us']:.0f})" for each in (connect, echo)]
    return f"| {mode} | {gigabits:.1f} Gbit/s | {connect['per_second']:,.0f} | {times[0]} | {times[1]} |"


def _measured(world: Topology, kind: str, address: str, seconds: float) -> dict[str, float]:
    argv = world["client"].argv(*MODULE, kind, address, "80", str(seconds))
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


@contextlib.contextmanager
def _served(world: Topology) -> Iterator[None]:
    with world["near1"].spawn(*MODULE, "serve", str(PORT), cwd=ROOT, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.kill()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
