"""Changes of a mode that keeps Services in tables: a Service that cannot be programmed is left out, and all others go in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from proxyconfig_agent.dataplane.port import Change, ConflictError, DataplaneError, Refusal
from proxyconfig_agent.dataplane.sync.batching import Ports, batches, by_family, by_service
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.netlink.nftables.connection import KernelError

T = TypeVar("T")
PlannedT_co = TypeVar("PlannedT_co", covariant=True)

Wanted = Mapping[Family, Ports]


class State(Protocol[PlannedT_co]):
    """What is programmed for one family."""

    def plan(self, wanted: Ports, without: Collection[ServiceName]) -> PlannedT_co:
        """What these Service ports need, if the Services `without` are to have nothing. Raises RefusedError."""
        ...


class Invalidated(Protocol):
    """What writes to the kernel."""

    def invalidate(self) -> None:
        """What is known of the kernel is wrong."""
        ...


class FaultIsolation(Generic[T]):
    """One call of `apply`. `commit` carries out what `plans` makes of its argument, and says how many operations it was; it raises
    KernelError if nf_tables refuses it, and everything is as before then."""

    def __init__(
        self,
        mode: str,
        states: Mapping[Family, State[T]],
        writer: Invalidated,
        commit: Callable[[FaultIsolation[T], Wanted], int],
        refused: dict[ServiceName, Refusal] | None = None,
    ) -> None:
        self._mode, self._states, self._writer, self._commit = mode, states, writer, commit
        self.refused: dict[ServiceName, Refusal] = {} if refused is None else refused
        """They are left out. Those that are found are added."""

    def apply(self, changes: Iterable[Change]) -> int:
        """How many operations it was. Raises OSError, DataplaneError: what is known of the kernel may be wrong then."""
        try:
            return sum(self._apply(by_family(batch)) for batch in batches(changes))
        except (OSError, DataplaneError):
            self._writer.invalidate()
            raise

    def one_by_one(self, wanted: Wanted) -> int:
        """Find the Service that nf_tables does not take; the others go in. Raises as `apply` does."""
        operations = 0
        for service, ports in by_service(wanted).items():
            try:
                operations += self._commit(self, ports)
            except KernelError as error:
                self.refuse(Refusal(service, str(error)))
                operations += self._commit(self, {})
        return operations

    def plans(self, wanted: Wanted) -> dict[Family, T]:
        """Without the Services that are refused, or bring out a fault of the agent."""
        while True:
            try:
                return {
                    family: state.plan(wanted.get(family, {}), without=self.refused)
                    for family, state in self._states.items()
                    if family in wanted or self.refused
                }
            except RefusedError as error:
                self.refuse(error.refusal)

    def refuse(self, refusal: Refusal) -> None:
        """Leave a Service out. Raises DataplaneError if that is what fails."""
        if refusal.service in self.refused:
            raise DataplaneError(f"{self._mode}: {refusal.service} cannot be taken out: {refusal.reason}; a full resync repairs it")
        self.refused[refusal.service] = refusal

    def _apply(self, wanted: Wanted) -> int:
        known = {family: ports for family, ports in wanted.items() if family in self._states}
        try:
            return self._commit(self, known)
        except KernelError as error:
            self._writer.invalidate()
            if error.is_missing:
                table = f"table proxyconfig-{self._mode}"
                raise ConflictError(f"{self._mode}: another program changed {table} ({error}); a full resync repairs it") from error
            return self.one_by_one(known)
