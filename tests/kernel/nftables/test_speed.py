"""How long the kernel's part takes at 5,000 Services × 10 endpoints. Prints; asserts only what a loaded machine can keep too."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from tests.kernel.nftables.examples import SETTINGS, many, with_other_endpoint
from tests.support.httpserving import serving

from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.http.routes import health_routes
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_client.http.server import Server
from proxyconfig_client.process.clock import Clock

pytestmark = pytest.mark.kernel

CHANGES = 50


def test_an_endpoint_change_costs_the_same_among_few_and_many_services(start: Callable[[], Nftables]) -> None:
    medians = {services: median_change_s(start(), services) for services in (1000, 5000, 20000)}
    assert medians[20000] < 5 * medians[1000]
    assert medians[5000] < 0.002


def test_health_is_answered_during_a_big_audit(start: Callable[[], Nftables]) -> None:
    """Whatever the event loop does: the HTTP servers have separate threads."""
    dataplane, ports = start(), list(many(5000, 10))
    dataplane.resync(SETTINGS, ports)
    health = Health(Clock())
    with serving(Server("127.0.0.1", 0, health_routes(health, Metrics("0.1.0", "nftables")))) as port:
        idle_s = longest_answer_s(port, lambda: time.sleep(0.2))
        audit_s: list[float] = []
        # Of several audits, as others on the machine make an answer late now and then; an audit that held it up would do so every time.
        busy_s = min(longest_answer_s(port, lambda: audit_s.append(timed(lambda: dataplane.resync(SETTINGS, ports)))) for _ in range(4))
    dataplane.remove()
    print(f"\n/healthz: {idle_s * 1000:.1f} ms when idle, {busy_s * 1000:.1f} ms at worst during an audit of {audit_s[0]:.2f} s CPU time")
    assert busy_s < 1  # kubelet's time-out, and that of most load balancers is longer


def longest_answer_s(port: int, work: Callable[[], None]) -> float:
    """The slowest answer of /livez that another thread gets while this one works."""
    done, slowest = threading.Event(), [0.0]

    def ask() -> None:
        while not done.is_set():
            began = time.monotonic()
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                connection.request("GET", "/livez")
                connection.getresponse().read()
            slowest[0] = max(slowest[0], time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    work()
    done.set()
    asking.join()
    return slowest[0]


def median_change_s(dataplane: Nftables, services: int) -> float:
    """The median of many endpoint changes among so many Services."""
    ports = list(many(services, 10))
    first_s = timed(lambda: dataplane.resync(SETTINGS, ports))
    audit_s = timed(lambda: dataplane.resync(SETTINGS, ports))
    states = [ports[services // 2]]
    states += [with_other_endpoint(states[0], number) for number in range(CHANGES)]
    changes_s = [timed(partial(dataplane.apply, [Change(*change)])) for change in itertools.pairwise(states)]
    dataplane.remove()
    median_s, worst_s = statistics.median(changes_s), max(changes_s)
    print(
        f"\n{services} Services × 10: first sync {first_s:.2f} s, audit {audit_s:.2f} s,"
        f" one endpoint changed {median_s * 1000:.3f} ms median, {worst_s * 1000:.2f} ms worst (CPU time)"
    )
    return median_s


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of this process, the kernel's part included: others on the machine do not count."""
    started = time.process_time()
    work()
    return time.process_time() - started
