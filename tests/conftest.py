"""How properties are tried, and how logs are written, in all tests.

The same examples in every run, however busy the machine is; `HYPOTHESIS_PROFILE=explore` looks further.
"""

from __future__ import annotations

import os

import structlog
from hypothesis import HealthCheck, settings

settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# structlog's own default prints the local variables of each frame where rich is installed: seconds per traceback.
_PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _PLAIN])
