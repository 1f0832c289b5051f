"""An API server for tests on another kernel that runs outside of it, on the machine's own: there it costs a tenth.

A serial line of the kernel leads to it and carries the frames of its network (`line`): the server has the same address on both sides. What
only its own processes can do, tests call for over a connection: a line of JSON for each call, and one as its answer.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.controlplane import ControlPlane, controlplane
from tests.cluster.errors import ClusterError
from tests.kernels import machine
from tests.kernels.machine import BOUND_S, ROOT, Task
from tests.support.netns.namespace import Namespace

VARIABLE = "PROXYCONFIG_CONTROL_PLANE"
"""Of tests on the kernel: the number of the server's network, a blank, and its folder."""
LINE = "tty1"
CALLS_PORT = 6444

Call = Callable[..., str | None]


def run(program: Path, task: Task, folder: Path, bound_s: float = BOUND_S) -> int:
    """Do what `machine.run` does, with an API server that the task reaches."""
    with outside() as server:
        return machine.run(program, server.reached_by(task), folder, bound_s)


@dataclass(frozen=True, slots=True)
class Outside:
    """A running API server, and the end of its line that a kernel is to have."""

    api: ControlPlane
    line: socket.socket

    def reached_by(self, task: Task) -> Task:
        """Return the task with this API server: `inside` finds it there."""
        variables = {**task.environment, VARIABLE: f"{self.api.switch.number} {self.api.folder}"}
        return Task(task.command, task.parameters, variables, {LINE: self.line.fileno()})


@contextlib.contextmanager
def outside() -> Iterator[Outside]:
    """An API server for one boot of a kernel; everything of it is gone afterwards."""
    near, far = socket.socketpair()
    with near, far, controlplane() as api, _answering(api):
        argv = (sys.executable, "-m", "tests.kernels.line", api.switch.namespace)
        with subprocess.Popen(argv, cwd=ROOT, stdin=near.fileno()) as carrying:
            try:
                yield Outside(api, far)
            finally:
                carrying.kill()


@contextlib.contextmanager
def _answering(api: ControlPlane) -> Iterator[None]:
    """Calls are answered, in the control plane's namespace."""
    calls: Mapping[str, Call] = {"kubectl": api.kubectl, "start_server": partial(_start_server, api), "stop_server": api.stop_server}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for request in self.rfile:
                self.wfile.write(answer(calls, request))

    namespace = Namespace(api.switch.namespace, "switch")
    with namespace.call(socketserver.ThreadingTCPServer, (api.host, CALLS_PORT), Handler) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield
        finally:
            server.shutdown()
            serving.join()


def _start_server(api: ControlPlane, *flags: str) -> None:
    api.server_flags = flags
    api.start_server()


def answer(calls: Mapping[str, Call], request: bytes) -> bytes:
    """Do what a request says, {"call", "words", "options"}; return {"printed"} or {"error"}."""
    asked = json.loads(request)
    try:
        answered = {"printed": calls[asked["call"]](*asked["words"], **asked["options"])}
    except ClusterError as error:
        answered = {"error": str(error)}
    return json.dumps(answered).encode() + b"\n"
