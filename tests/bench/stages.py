"""Reads the agent's own stage timings from its metrics page. Knows the page's text format, not how it was fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LINE = re.compile(r'^proxyconfig_stage_duration_seconds_sum\{stage="(?P<stage>[^"]+)"\} (?P<seconds>\S+)$', re.MULTILINE)


def stages_s(page: str) -> dict[str, float]:
    """Seconds that each stage has taken since the agent's start."""
    return {found["stage"]: float(found["seconds"]) for found in _LINE.finditer(page)}


def between(earlier: Mapping[str, float], later: Mapping[str, float], times: int = 1) -> dict[str, float]:
    """Milliseconds per stage that passed between two readings, for each of `times` events."""
    return {stage: 1000 * (seconds - earlier.get(stage, 0.0)) / times for stage, seconds in later.items()}
