"""Keeps the health check node ports to what the cluster wants, and to where the node is to be asked."""

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
        self.answer()

    def answer(self) -> None:
        """Answer what was programmed last. Most changes are none of theirs, and there may be thousands."""
        answered, self._answered = self._answered, (self._programmed.health_checks_changed, self._listen_on)
        if answered != self._answered:
            self._ports.want(self._programmed.health_checks(), self._listen_on)
