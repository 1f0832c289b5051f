"""The health check node ports: opens and closes them as Services and node addresses change, and reports those that cannot be opened.

They run in the agent's event loop, so that its health checks fail when it hangs; a node without such Services has no server.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn

from msgspec import Struct

from proxyconfig_agent.ingest.model import Address, Family, ServiceName, family_of, text_of
from proxyconfig_agent.report.healthcheck.response import response
from proxyconfig_agent.report.healthcheck.server import Listener, Place
from proxyconfig_agent.select.healthchecks import HealthCheck

RETRY_S = 5.0


class Unopened(Struct, frozen=True):
    """A health check node port that could not be opened, and the kernel's words."""

    service: ServiceName
    address: Address
    port: int
    reason: str
    taken: bool

    def __str__(self) -> str:
        return f"spec.healthCheckNodePort {self.port} of Service {self.service} on {text_of(self.address)}: {self.reason}"


class HealthPorts:
    """Call `serve` whenever something may have changed; `run` opens and closes. `healthy` returns whether this node's rules can be relied
    on; `report` is called with all ports that could not be opened, whenever those change."""

    def __init__(
        self, healthy: Callable[[], bool], report: Callable[[Sequence[Unopened]], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._healthy, self._report, self._clock = healthy, report, clock
        self._checks: dict[tuple[ServiceName, Family], HealthCheck] = {}
        self._addresses: Sequence[Address] = ()
        self._open: dict[Place, Listener] = {}
        self._unopened: dict[Place, Unopened] = {}
        self._changed = asyncio.Event()

    def serve(self, checks: Iterable[HealthCheck], addresses: Sequence[Address]) -> None:
        """Answer these, on these addresses of the node. Counts are in effect at once, sockets a moment later."""
        desired = {(check.service, check.family): check for check in checks}
        if (desired, addresses) != (self._checks, self._addresses):
            self._checks, self._addresses = desired, addresses
            self._changed.set()

    async def run(self) -> NoReturn:
        """Open and close until cancelled; then nothing is open."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S if self._unopened else None):
                        await self._changed.wait()
                self._changed.clear()
                await self._reconcile()
        finally:
            for listener in self._open.values():
                listener.close()
            self._open.clear()

    def answer(self, place: Place, head: bytes) -> tuple[bytes, bool]:
        """The answer to a request at `place`, and whether the connection stays open."""
        service, address, port = place
        check = self._checks.get((service, family_of(address))) or HealthCheck(service, family_of(address), port)
        answered = response(head, check, healthy=self._healthy(), now_s=self._clock())
        return answered.octets, answered.keep_alive

    async def _reconcile(self) -> None:
        desired = set(self._places())
        for place in self._open.keys() - desired:
            self._open.pop(place).close()
        unopened: dict[Place, Unopened] = {}
        for place in sorted(desired - self._open.keys()):
            try:
                self._open[place] = await Listener.opened(place, self.answer)
            except OSError as error:
                if error.errno != errno.EAFNOSUPPORT:  # a kernel without IPv6
                    unopened[place] = Unopened(*place, error.strerror or str(error), taken=error.errno == errno.EADDRINUSE)
        if unopened != self._unopened:
            self._unopened = unopened
            self._report(tuple(unopened.values()))

    def _places(self) -> Iterator[Place]:
        for (service, family), check in self._checks.items():
            yield from ((service, address, check.port) for address in self._addresses if family_of(address) is family)
