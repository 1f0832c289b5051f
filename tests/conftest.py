"""How properties are tried: the same examples in every run, however busy the machine is; `HYPOTHESIS_PROFILE=explore` looks further."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
