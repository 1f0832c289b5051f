"""`status.plan` of a ProxyConfig: what waits until its rollout is no longer paused. Written by the operator."""

from __future__ import annotations

import msgspec

from proxyconfig_api.values.disruption import Disruption
from proxyconfig_api.values.duration import Duration

FIELDS_LIMIT = 50
"""The most fields that a status names."""


class PlannedField(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    path: str
    disruption: Disruption


class PlanStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    revision: str
    pod_revision: str
    fields: tuple[PlannedField, ...] = ()
    """That differ from what was rolled out last, by path."""
    nodes: int = 0
    """That are to change."""
    waves: int = 0
    least_time: Duration = Duration(0)
    """The shortest time that the waves take: the sum of their hold periods."""
