"""One subject that runs in a fresh network namespace, and how to look at it."""

from __future__ import annotations

import http.client
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.bench import environment, usage
from tests.bench.load import place_node
from tests.bench.modes import Tables
from tests.bench.priority import prefer
from tests.bench.stages import stages_s
from tests.bench.subjects import METRICS_PORT, Place, Subject
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ComponentError
from tests.cluster.process import Process, start
from tests.support.netns.namespace import Namespace


@dataclass(frozen=True, slots=True)
class Run:
    """A subject that was started at `started_s` (monotonic seconds)."""

    subject: Subject
    process: Process
    namespace: str
    tables: Tables
    started_s: float

    def cpu_s(self) -> float:
        """CPU seconds so far, children included."""
        return usage.cpu_s(self.process.pid)

    def rss_mib(self) -> float:
        """Memory now, without children."""
        return usage.rss_mib(self.process.pid)

    def stages(self) -> dict[str, float]:
        """What the subject says about its stages so far, in seconds; nothing if it does not."""
        return stages_s(Namespace(self.namespace, "").call(_metrics_page)) if self.subject.tells_stages else {}

    def check(self) -> None:
        """Raise ComponentError if it has ended."""
        if not self.process.alive():
            raise ComponentError(self.process.name, "ended while it was measured", self.process.log, "find out why; it should run.")


@asynccontextmanager
async def running(api: ControlPlane, subject: Subject) -> AsyncIterator[Run]:
    """Give a subject that was started this moment; it and its namespace are gone afterwards."""
    place = api.attach(subject.name)
    subject.mode.prepare(place.namespace)
    folder = api.folder / place.namespace
    folder.mkdir(exist_ok=True)
    command = subject.command(Place(folder, api.kubeconfig, api.program("kube-proxy"), environment.ready_python()))
    await place_node(api.kubeconfig, place.ipv4)
    tables = subject.mode.tables(place.namespace)
    started_s = time.monotonic()
    process = start(subject.name, command, folder, namespace=place.namespace, env=subject.environment())
    try:
        prefer(process.pid)
        yield Run(subject, process, place.namespace, tables, started_s)
    finally:
        process.stop()
        tables.close()
        api.switch.detach(place)


def _metrics_page() -> str:
    connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()
