"""What a commit made of what was wanted: the tables of what is programmed and what is rejected follow it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.state.batch import Everything
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.state.rejections import Rejections
from proxyconfig_agent.state.view import Selected

PORTION = 1000
"""Services, which take a few milliseconds."""


class Settlement:
    """Of one node, in one mode."""

    def __init__(self, programmed: Programmed, rejections: Rejections) -> None:
        self._programmed, self._rejections = programmed, rejections

    def settle(self, wanted: Mapping[ServiceName, Selected], refused: Iterable[Refusal]) -> Iterator[list[Refusal]]:
        """The kernel has the desired state of these Services, except for the refused ones, of which it has nothing, unless they
        are refused partly. Yields the faults of the agent that are new, in portions of Services; each is done when it is asked for."""
        yield from self._settled(wanted, (*self._unchanged(wanted), *refused))

    def _unchanged(self, wanted: Mapping[ServiceName, Selected]) -> Iterator[Refusal]:
        """Of Services that are programmed as they are wanted, and refused partly: the data plane is not asked about them."""
        for name, selected in wanted.items():
            known = self._rejections.here(name)
            if known is not None and known.partly and selected.ports == self._programmed.of(name):
                yield known

    def _settled(self, wanted: Mapping[ServiceName, Selected], refused: Iterable[Refusal]) -> Iterator[list[Refusal]]:
        refusals = {refusal.service: refusal for refusal in refused}
        left = iter(wanted.items())
        while portion := list(itertools.islice(left, PORTION)):
            settled = [self._put(name, selected, refusals.get(name) or selected.refusal) for name, selected in portion]
            yield [refusal for refusal in settled if refusal is not None]

    def settle_all(self, wanted: Everything, refused: Iterable[Refusal]) -> Iterator[list[Refusal]]:
        """The same, and the kernel has nothing of any Service that is not wanted."""
        refused = tuple(refused)
        names = wanted.wanted.keys() | wanted.kept.keys()
        self._programmed.retain(names)
        self._rejections.retain(names)
        not_kept = {refusal.service: Selected() for refusal in refused if refusal.service in wanted.kept}
        yield from self._settled({**wanted.wanted, **not_kept}, refused)

    def _put(self, name: ServiceName, selected: Selected, refusal: Refusal | None) -> Refusal | None:
        """Returns the refusal if it is a fault that was not known."""
        known = self._rejections.here(name)
        self._rejections.put(name, selected.rejected, refusal)
        if refusal is None or refusal.partly:
            self._programmed.put(name, selected.ports, selected.health_checks)
            return None
        # For a load balancer it has no endpoint here.
        self._programmed.put(name, (), tuple(replace(check, local_endpoints=0) for check in selected.health_checks))
        return refusal if refusal.trace and refusal != known else None
