"""A mode as small as it gets, in place of userspace mode in test_modes.py."""

from __future__ import annotations

from tests.unit.agent.dataplane.fakedataplane import FakeDataplane

from proxyconfig_agent.dataplane.metric import FAMILY, Metric, ModeMetrics
from proxyconfig_agent.dataplane.modes.modes import ModeSpec

FAILURES = Metric("proxyconfig_toy_sync_failures_total", "counter", "Syncs that failed", FAMILY)
WOUND = Metric("proxyconfig_toy_wound_total", "counter", "How often the toy was wound")

SPEC = ModeSpec(
    make=FakeDataplane,
    left_behind=lambda: iter(()),
    modules=("toy",),
    sysctls=lambda _: {"net.ipv4.conf.all.toy": "1"},
    metrics=ModeMetrics(full_failures=FAILURES, partial_failures=FAILURES, packets=(WOUND,)),
    counters=lambda: {WOUND.name: 7},
)
