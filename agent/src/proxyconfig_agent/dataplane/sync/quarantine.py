"""Faults of the agent that one Service brings out: it is set aside with a reason, all others are served."""

from __future__ import annotations

import traceback

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName


class RefusedError(Exception):
    """A Service cannot be programmed; `refusal` says which one and why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.service}: {refusal.reason}")
        self.refusal = refusal


def refusal_of(service: ServiceName, error: Exception) -> Refusal:
    """Why a Service is not served that an unexpected `error` came up for, with the trace for the log."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    trace = "".join(traceback.format_exception(error))
    return Refusal(service, f"the agent fails on this Service ({text}); please report it with the agent's log", trace=trace)
