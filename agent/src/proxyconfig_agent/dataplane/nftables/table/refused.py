"""A Service cannot be programmed as it is."""

from __future__ import annotations

from proxyconfig_agent.ingest.model import ServiceName


class RefusedError(Exception):
    """The message is a sentence for an Event on the Service."""

    def __init__(self, service: ServiceName, reason: str) -> None:
        super().__init__(reason)
        self.service = service
        self.reason = reason
