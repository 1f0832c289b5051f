"""A mode as small as it gets, in place of userspace mode in test_modes.py."""

from __future__ import annotations

from tests.unit.agent.dataplane.fakedataplane import FakeDataplane

from proxyconfig_agent.dataplane.modes import ModeSpec

SPEC = ModeSpec(
    make=FakeDataplane,
    left_behind=lambda: iter(()),
    modules=("toy",),
    sysctls=lambda _: {"net.ipv4.conf.all.toy": "1"},
)
