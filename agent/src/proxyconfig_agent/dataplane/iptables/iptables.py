"""The iptables mode: the `Dataplane` that the runner talks to. Both families, each with its programs; everything decided here is pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from proxyconfig_agent.dataplane.iptables.delta import delta
from proxyconfig_agent.dataplane.iptables.kernel import nfacct
from proxyconfig_agent.dataplane.iptables.kernel.conntrack_sysctl import is_liberal
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features
from proxyconfig_agent.dataplane.iptables.programming import TO_ENDPOINTS, Programming
from proxyconfig_agent.dataplane.iptables.sync import hooks, reconcile
from proxyconfig_agent.dataplane.iptables.sync.batches import BATCH, batches, by_family
from proxyconfig_agent.dataplane.iptables.sync.bisect import Bisection
from proxyconfig_agent.dataplane.iptables.sync.full_sync import FullSync
from proxyconfig_agent.dataplane.iptables.sync.renderer import RuleRenderer
from proxyconfig_agent.dataplane.iptables.tools.binaries import Tool
from proxyconfig_agent.dataplane.iptables.tools.probe import knows_counters, probe, tools_of, usable
from proxyconfig_agent.dataplane.iptables.tools.program import LockedError, ToolError
from proxyconfig_agent.dataplane.iptables.tools.restore import Input
from proxyconfig_agent.dataplane.iptables.tools.save import parse
from proxyconfig_agent.dataplane.iptables.tools.writer import Writer, writer
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Outcome, ProbeResult, Refusal, Rules, Settings, TemporaryError
from proxyconfig_agent.dataplane.sync.drift import Drift
from proxyconfig_agent.dataplane.sync.stage_timer import StageTimer
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends


class Iptables:
    """One node's Services in kube-proxy's chains, in the network namespace of the threads that use it."""

    def __init__(self, programming: Programming = TO_ENDPOINTS) -> None:
        self._programming = programming
        self._owned = Ownership(owner=programming.owner)
        self._lowerings: dict[Family, RuleRenderer] = {}
        self._lacking: Mapping[Family, str] = {}
        self._served = frozenset(Family)
        self._unrecorded = ""
        self._opened: Writer | None = None

    def probe(self) -> ProbeResult:
        with _told():
            self._look_again()
            tools = self._writer.tools
            found = probe(tools.values(), self._lacking, self._programming.unneeded, self._programming.further)
            self._served = frozenset(tools) - found.unserved.keys()
            programs = next(iter(tools.values()))
            version, counters = f"{programs.version()} ({programs.backend})", "available" if self._counters() else "missing"
            return ProbeResult({**found.features, "iptables": version, "nfacct": counters}, found.unserved)

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        clock = StageTimer()
        ports = list(wanted)
        clock.lap("lower")
        with _told(), self._anew() as writer:
            refused, drift = dict[ServiceName, Refusal](), Drift()
            lowerings = {family: self._renderer(family, settings) for family in writer.tools if family in self._served}
            fills = [self._fill(lowering, ports, refused, clock, drift) for lowering in lowerings.values()]
            for fill in fills:
                fill.end([port for port in ports if port.name.service in refused and port.family is fill.family])
            if not self._lowerings:
                hooks.remove(writer.former())  # packets meet both back ends' rules
        self._lowerings = lowerings
        operations = sum(fill.operations for fill in fills)
        abandoned = tuple(destination for fill in fills for destination in fill.abandoned)
        return Outcome(operations, tuple(refused.values()), clock.took_s, str(drift), abandoned, self._rules(), self._unrecorded)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        if not self._lowerings:
            raise DataplaneError("iptables: changes came before the first full sync; call resync first")
        clock, refused, operations = StageTimer(), dict[ServiceName, Refusal](), 0
        of_families = by_family(changes)
        with _told():
            for lowering in self._lowerings.values():
                lowering.begin()
                of_family = of_families.get(lowering.family, [])
                for batch in batches(of_family, BATCH[self._writer.backend]):
                    operations += self._apply(lowering, batch, refused, clock)
            if refused:
                operations += self._take_out(of_families, refused)
                self._writer.changes.invalidate()
        for family, lowering in self._lowerings.items():
            lowering.count(of_families.get(family, ()))
        return Outcome(operations, tuple(refused.values()), clock.took_s, rules=self._rules())

    def is_slow(self, changes: Sequence[Change]) -> bool:  # noqa: ARG002 - a program runs, whatever they are
        return True

    def disturbed(self) -> bool:
        with _told():
            return self._writer.changes.disturbed()

    def remove(self) -> None:
        """Take away what `kube-proxy --cleanup` takes away, and the canaries. Raises DataplaneError.

        What a kubelet has made stays, and so does what rules of another program lead to."""
        with _told():
            self._writer.changes.invalidate()
            hooks.remove(self._tools())
        nfacct.remove()
        self._lowerings = {}
        self._owned.release()

    def disarm(self) -> bool:
        """Not if another mode has made these chains its own."""
        if mine := bool(self._owned):
            with _told():
                hooks.take(self._writer, self._programming.hooks)
        return mine

    def arm(self) -> None:
        if self._owned:
            with _told():
                hooks.give(self._writer, self._programming.hooks)

    def retire(self, drain_s: float) -> bool:  # noqa: ARG002 - nothing drains
        """At once: connections go on as they were translated."""
        self.remove()
        return True

    def scan(self) -> list[str]:
        with _told():
            return [
                f"chain {'ip' if tool.family is Family.IPV4 else 'ip6'} {chain.table.value} {chain.name}"
                for tool in self._tools()
                for chain in sorted(reconcile.here(parse(tool.save())))
            ]

    def close(self) -> None:
        """Close the socket that watches; what is in the kernel stays and works."""
        if self._opened is not None:
            self._opened.changes.close()
            self._opened = None

    @property
    def left_behind(self) -> bool:
        """Whether there are rules here that an agent made. kube-proxy's have the same names, and are none of another mode's business."""
        return bool(self._owned)

    @property
    def _writer(self) -> Writer:
        """The back end is chosen once: when the kubelet has made its chains, or never."""
        if self._opened is None:
            tools, self._lacking = usable()
            self._opened = writer(tools)
        return self._opened

    def _look_again(self) -> None:
        """Take in a family whose tables the kernel lacked and has now; the back end stays."""
        if not self._lacking:
            return
        tools, lacking = tools_of(self._writer.backend)
        if tools.keys() > self._writer.tools.keys():
            self.close()
            self._opened, self._lacking = writer(tools), lacking

    def _rules(self) -> dict[tuple[Family, str], Rules]:
        return {key: rules for lowering in self._lowerings.values() for key, rules in lowering.counted().items()}

    def _renderer(self, family: Family, settings: Settings) -> RuleRenderer:
        return RuleRenderer(family, settings, self._features(), self._programming)

    def _features(self) -> Features:
        return Features(liberal=is_liberal(), counters=self._counters())

    def _counters(self) -> bool:
        return nfacct.ensure() and all(knows_counters(tool) for family, tool in self._writer.tools.items() if family in self._served)

    @contextlib.contextmanager
    def _anew(self) -> Iterator[Writer]:
        """Read what the kernel has from now on, and make it what it is to be. If that fails halfway, be `disturbed` afterwards."""
        opened = self._writer
        try:
            opened.changes.begin_read()
            self._unrecorded = self._owned.claim()  # first: rules of a process that is killed halfway are an agent's, too
            yield opened
        except BaseException:
            opened.changes.invalidate()
            raise

    def _fill(
        self, lowering: RuleRenderer, ports: Sequence[Frontends], refused: dict[ServiceName, Refusal], clock: StageTimer, drift: Drift
    ) -> FullSync:
        of_family = [port for port in ports if port.family is lowering.family]
        lowering.count(Change(None, port) for port in of_family)
        fill = FullSync(self._writer, lowering, refused, clock, drift)
        fill.begin()
        fill.ports(of_family)
        return fill

    def _apply(self, lowering: RuleRenderer, changes: Sequence[Change], refused: dict[ServiceName, Refusal], clock: StageTimer) -> int:
        """One input; how many operations it was."""
        try:
            given = self._input(lowering, changes)
            clock.lap("lower")
            return self._writer.commit(lowering.family, given)
        except (LockedError, OSError):
            self._writer.changes.invalidate()
            raise
        except Exception:  # what iptables refuses, or a fault of the agent
            return self._search(lowering, changes, refused)
        finally:
            clock.lap("commit")

    def _input(self, lowering: RuleRenderer, changes: Sequence[Change]) -> Input:
        given = lowering.input()
        for change in changes:
            old, new = lowering.rules(change.old), lowering.rules(change.new)
            lowering.tally(old, new)
            given.add(delta(old, new))
        return given

    def _search(self, lowering: RuleRenderer, changes: Sequence[Change], refused: dict[ServiceName, Refusal]) -> int:
        """An audit follows: others may have changed more than this met, and a refused Service has rules in the other family."""
        try:
            return Bisection(self._writer, lowering, refused).carry_out(changes)
        finally:
            self._writer.changes.invalidate()

    def _take_out(self, of_families: dict[Family, list[Change]], refused: dict[ServiceName, Refusal]) -> int:
        """Refused Services, in both families."""
        operations = 0
        for family, lowering in self._lowerings.items():
            sides = [side for change in of_families.get(family, ()) for side in (change.old, change.new) if side]
            gone = [side for side in sides if side.name.service in refused]
            operations += Bisection(self._writer, lowering, refused).take_out(gone)
        return operations

    def _tools(self) -> Iterator[Tool]:
        """All that may have rules of this mode."""
        yield from self._writer.tools.values()
        yield from self._writer.former()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors as the runner knows them."""
    try:
        yield
    except LockedError as error:
        raise TemporaryError(f"iptables: {error}") from error
    except (ToolError, OSError) as error:
        raise DataplaneError(f"iptables: {error}") from error
