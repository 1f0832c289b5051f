"""How long the kernel's part takes at 5,000 Services × 10 endpoints. Prints; asserts only what a loaded machine can keep too."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial

import pytest
from tests.kernel.nftables.examples import SETTINGS, many, with_other_endpoint

from proxyconfig_agent.dataplane import Change
from proxyconfig_agent.nftables import Nftables

pytestmark = pytest.mark.kernel

CHANGES = 50


def test_an_endpoint_change_costs_the_same_among_few_and_many_services(start: Callable[[], Nftables]) -> None:
    medians = {services: median_change_s(start(), services) for services in (1000, 5000, 20000)}
    assert medians[20000] < 5 * medians[1000]
    assert medians[5000] < 0.002


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
