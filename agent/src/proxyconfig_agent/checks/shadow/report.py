"""What the comparison of a node says, for its NodeProxy. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.checks.shadow.comparison import Compared
from proxyconfig_api.status.shadow import LIMIT, Difference, Shadow, score_of


def shadow_of(compared: Iterable[Compared]) -> Shadow:
    """Services that differ by name, as many as a status names."""
    every = sorted(compared, key=lambda each: str(each.service))
    flows, matching = sum(each.flows for each in every), sum(each.matching for each in every)
    differing = [each for each in every if each.difference]
    named = tuple(Difference(service=str(each.service), message=each.difference) for each in differing[:LIMIT])
    return Shadow(score=score_of(matching, flows), flows=flows, matching=matching, differing=len(differing), services=named)
