"""Follows syncs: health check node ports answer with what each has programmed, on the addresses that serve node ports."""

from __future__ import annotations

from proxyconfig_agent.ingest.model import Address
from proxyconfig_agent.report.healthcheck.ports import HealthPorts
from proxyconfig_agent.state.programmed import Programmed


class HealthChecks:
    def __init__(self, programmed: Programmed, ports: HealthPorts) -> None:
        self._programmed, self._ports = programmed, ports
        self._listen_on: tuple[Address, ...] = ()
        self._answered: tuple[int, tuple[Address, ...]] = (0, ())

    async def run(self) -> None:
        await self._ports.run()

    def listen(self, on: tuple[Address, ...]) -> None:
        """Answer on these addresses."""
        self._listen_on = on
        self.synced()

    def synced(self) -> None:
        """A sync has ended: answer with what is programmed now. Most syncs change no health check, and there may be thousands of checks."""
        answered, self._answered = self._answered, (self._programmed.health_checks_changed, self._listen_on)
        if answered != self._answered:
            self._ports.serve(self._programmed.health_checks(), self._listen_on)
