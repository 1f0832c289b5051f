"""The intervals that a spec sets."""

from __future__ import annotations

import pytest

from proxyconfig_agent.sync.schedule import SyncIntervals, intervals_of
from proxyconfig_api.encoding import codec
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec


@pytest.mark.parametrize("mode", list(Mode))
def test_the_period_of_drift_checks_is_that_of_the_spec_in_every_mode(mode: Mode) -> None:
    spec = codec.decode({"mode": mode, "sync": {"driftCheckPeriod": "5s"}}, ProxyConfigSpec)
    assert intervals_of(spec).poll_s == 5


def test_the_defaults_of_the_spec_are_those_of_the_agent() -> None:
    assert intervals_of(ProxyConfigSpec()) == SyncIntervals()
