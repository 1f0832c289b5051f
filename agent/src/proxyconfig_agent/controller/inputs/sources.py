"""How the controller gets what the node should do, and where it reports: made by the wiring."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from proxyconfig_agent.report.status.nodeproxy import Reporter
from proxyconfig_agent.state.findings import Finding
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.status.conditions import Condition


class DesiredSource(Protocol):
    """Where a `Desired` comes from; runs until cancelled."""

    def run(self) -> Coroutine[Any, Any, None]: ...


Sources = Callable[[Callable[[Desired], None], Callable[[Finding | None], None]], DesiredSource]
"""Makes the source, of what it shall tell a Desired and what it shall tell a finding."""

Reporters = Callable[[tuple[Condition, ...]], Reporter | None]
"""Makes the reporter of the NodeProxy's status, of the conditions that an earlier agent left there; None: there is nobody to tell."""
