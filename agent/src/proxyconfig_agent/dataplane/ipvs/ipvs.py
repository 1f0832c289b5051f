"""The ipvs mode: the `Dataplane` that the runner talks to. Both families; I/O is in `kernel`, everything else here is pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from proxyconfig_agent.dataplane.ipvs.kernel import kube_proxy
from proxyconfig_agent.dataplane.ipvs.kernel.bound_addresses import BoundAddresses
from proxyconfig_agent.dataplane.ipvs.kernel.connect import connected, read_kernel
from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.probe import probe
from proxyconfig_agent.dataplane.ipvs.kernel.removal import remove, scan
from proxyconfig_agent.dataplane.ipvs.sync.full_sync import FullSync, found_lacking, without_scheduler
from proxyconfig_agent.dataplane.ipvs.sync.reaper import Reaper
from proxyconfig_agent.dataplane.ipvs.sync.retirement import Retirement
from proxyconfig_agent.dataplane.ipvs.sync.watch import Watch
from proxyconfig_agent.dataplane.ipvs.table.state import FamilyState, Plan
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Outcome, ProbeResult, Refusal, Settings
from proxyconfig_agent.dataplane.sync.batching import size_of
from proxyconfig_agent.dataplane.sync.stage_timer import StageTimer
from proxyconfig_agent.dataplane.tables.fault_isolation import FaultIsolation, Wanted
from proxyconfig_agent.ingest.model import Address, Family
from proxyconfig_agent.netlink.nftables.connection import KernelError
from proxyconfig_agent.select.frontends import Frontends

QUICK = 1000
"""Service ports and endpoints, of changes that take some 10 ms at most."""


class Ipvs:
    """One node's Services as virtual servers, in the network namespace of the thread that makes it."""

    def __init__(self, kernel: Kernel | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """Raises DataplaneError where the kernel has no IPVS, or where no `kernel` is given, no nf_tables."""
        self._kernel = kernel or connected()
        self._now = now
        self._settings = Settings()
        self._families: tuple[Family, ...] = ()
        self._states: dict[Family, FamilyState] = {}
        self._lacking: set[str] = set()
        self._left_by_kube_proxy = False
        self._bound = BoundAddresses(self._kernel)
        self._reaper = Reaper(self._kernel, now)
        self._retirement = Retirement(self._kernel, now)
        self._watch = Watch(read_kernel, now)

    def probe(self) -> ProbeResult:
        with _translated():
            found = probe(self._kernel)
        self._families = found.served
        return found

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        clock, wanted = StageTimer(), tuple(wanted)
        families = self._supported()
        self._watch.changed_by_us()
        with _translated(), self._kernel.rules.begin_read():
            sync = FullSync(self._kernel, settings, families, self._now, self._lacking)
            outcome = sync.run(wanted, clock)
        self._settings, self._states = settings, sync.states
        self._left_by_kube_proxy |= sync.adopts
        self._discard()
        return replace(outcome, operations=outcome.operations + self._bind(wanted))

    def apply(self, changes: Iterable[Change]) -> Outcome:
        if not self._states:
            raise DataplaneError("ipvs: changes came before the first full sync; call resync first")
        clock, changes = StageTimer(), tuple(changes)
        isolation = FaultIsolation("ipvs", self._states, self._kernel.rules, self._commit)
        self._watch.changed_by_us()
        with _translated():
            operations = isolation.apply(changes)
            self._bound.apply(changes)
        clock.lap("commit")
        wanted = (change.new for change in changes if change.new is not None)
        partly = without_scheduler(wanted, isolation.refused, self._lacking, self._settings)
        refused = (*isolation.refused.values(), *partly)
        return Outcome(operations, refused, clock.took_s, rules=self._kernel.rules.counted)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._kernel.rules.is_slow or size_of(changes) > QUICK

    def disturbed(self) -> bool:
        with _translated():
            self._discard()
            if self._reaper.reap(self._states, self._settings):
                self._watch.changed_by_us()
            return self._kernel.rules.changed_externally() or self._watch.disturbed(self._addresses)

    def remove(self) -> None:
        """Take away everything that is ours by its mark. Raises DataplaneError."""
        with _translated():
            remove(self._kernel)
        self._states = {}

    def disarm(self) -> bool:
        """Virtual servers and routes stay; nothing leads a new connection to them past the rules of another mode."""
        with _translated():
            return self._kernel.rules.disarm()

    def arm(self) -> None:
        with _translated():
            self._kernel.rules.arm()

    def retire(self, drain_s: float) -> bool:
        with _translated():
            return self._retirement.step(drain_s)

    def scan(self) -> list[str]:
        with _translated():
            return list(scan(self._kernel))

    def close(self) -> None:
        """Close the sockets; what is in the kernel stays and works."""
        self._kernel.close()

    def _addresses(self) -> Iterator[Address]:
        return (address for state in self._states.values() for address in state.addresses)

    def _supported(self) -> tuple[Family, ...]:
        if not self._families:
            self.probe()
        return self._families

    def _discard(self) -> None:
        """What kube-proxy has left, as soon as nothing needs it. Raises OSError."""
        if self._left_by_kube_proxy:
            self._left_by_kube_proxy = not kube_proxy.discard()

    def _bind(self, wanted: Iterable[Frontends]) -> int:
        """How many addresses were bound or not any more. Raises OSError, DataplaneError."""
        if self._settings.ipvs.binds_addresses:
            return self._bound.resync(wanted)
        self._bound.forget()
        return 0

    def _commit(self, isolation: FaultIsolation[Plan], wanted: Wanted) -> int:
        """Raises KernelError if nf_tables refuses it."""
        while bad := self._kernel.commit(plans := isolation.plans(wanted), self._settings):
            if fresh := found_lacking(bad):
                self._lacking |= fresh
                continue
            owners = {server: name for family, plan in plans.items() for server, name in self._states[family].owners(plan).items()}
            for server, why in bad.items():
                isolation.refuse(Refusal(owners[server].service, f"port {owners[server]}: {why.sentence}"))
        for family, plan in plans.items():
            self._states[family].keep(plan)
        return sum(map(len, plans.values()))


@contextmanager
def _translated() -> Iterator[None]:
    """What the kernel says, as an error of the mode."""
    try:
        yield
    except KernelError as error:
        raise DataplaneError(f"ipvs: {error}") from error
