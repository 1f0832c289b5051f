"""The API server outside of this kernel (`outside`), for tests that run on it: the same network, addresses, certificates and files."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster import binaries
from tests.cluster.certificates import authority
from tests.cluster.controlplane import ControlPlane, controlplane
from tests.cluster.errors import ClusterError
from tests.cluster.network import BRIDGE, Switch
from tests.kernels.machine import ROOT
from tests.kernels.outside import CALLS_PORT, LINE, VARIABLE
from tests.support.netns.namespace import run
from tests.support.polling import eventually

HOST = 241
"""This kernel's place on the control plane's network."""


class Remote(ControlPlane):
    """A control plane whose processes run outside: what concerns them is asked there."""

    def __init__(self, number: int, folder: Path) -> None:
        super().__init__(folder, Switch(number), binaries.ensure("etcd", "kubernetes"), authority(folder / "certificates"))

    def kubectl(self, *words: str, given: str | None = None, timeout_s: float = 60) -> str:
        return self._call("kubectl", *words, given=given, timeout_s=timeout_s) or ""

    def start_server(self) -> None:
        self._call("start_server", *self.server_flags)

    def stop_server(self) -> None:
        self._call("stop_server")

    def restart_server(self, flags: tuple[str, ...]) -> None:
        self.stop_server()
        self.server_flags = flags
        self.start_server()

    def _call(self, name: str, *words: str, **options: Any) -> str | None:
        with socket.create_connection((self.host, CALLS_PORT)) as connection, connection.makefile("rw") as file:
            file.write(json.dumps({"call": name, "words": words, "options": options}) + "\n")
            file.flush()
            answer = json.loads(file.readline())
        if "error" in answer:
            raise ClusterError(answer["error"])
        printed: str | None = answer["printed"]
        return printed


@contextlib.contextmanager
def apiserver(*server_flags: str) -> Iterator[ControlPlane]:
    """An API server with these flags: the one that this kernel was given, or else a new one."""
    given = VARIABLE in os.environ
    with _remote(server_flags) if given else controlplane(server_flags=server_flags) as api:
        yield api


@contextlib.contextmanager
def _remote(server_flags: tuple[str, ...]) -> Iterator[Remote]:
    """The API server outside, within reach; it runs already, without flags."""
    number, folder = os.environ[VARIABLE].split(" ", 1)
    made = Remote(int(number), Path(folder))
    _join(made.switch)
    argv = (sys.executable, "-m", "tests.kernels.line", made.switch.namespace)
    with open(f"/dev/{LINE}", "r+b", buffering=0) as line, subprocess.Popen(argv, cwd=ROOT, stdin=line) as carrying:
        try:
            eventually(made.ready, within_s=60)
            if server_flags:
                made.restart_server(server_flags)
            yield made
        finally:
            carrying.kill()


def _join(switch: Switch) -> None:
    """Make the part of the control plane's network that is on this kernel: the bridge, and a link to it."""
    run("ip", "netns", "add", switch.namespace)
    run("ip", "-n", switch.namespace, "link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0")
    run("ip", "link", "add", switch.namespace, "type", "veth", "peer", "name", "machine", "netns", switch.namespace)
    commands = (f"link set {BRIDGE} up", f"link set machine master {BRIDGE} up")
    run("ip", "-n", switch.namespace, "-batch", "-", stdin="\n".join(commands) + "\n")
    run("ip", "addr", "add", f"198.18.{switch.number}.{HOST}/24", "dev", switch.namespace)
    run("ip", "link", "set", switch.namespace, "up")
