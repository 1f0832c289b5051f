"""How properties are tried, and how logs are written, in all tests.

The same examples in every run, however busy the machine is; `HYPOTHESIS_PROFILE=explore` looks further.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from tests.support import plainlogs

settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
plainlogs.configure()
