"""How properties are tried, how logs are written, when memory is collected, and when a test is ended, in all tests.

The same examples in every run, however busy the machine is; `HYPOTHESIS_PROFILE=explore` looks further.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.support import plainlogs
from tests.support.polling import patience

settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
plainlogs.configure()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for garbage neither while tens of thousands of cases are made nor ever again among them: they stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where deadlines are multiplied, so is the time after which a test is ended."""
    if (times := patience()) == 1:
        return
    for item in items:
        mark = item.get_closest_marker("timeout")
        bound_s = float(mark.args[0] if mark else config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(bound_s * times), append=False)
