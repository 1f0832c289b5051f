"""userspace mode where the kernel has no nf_tables: iptables mode's chains lead to the proxy process."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from proxyconfig_agent.dataplane.combined.redirection import TO_PROCESS, mark, redirected
from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.port import Change, DataplaneError, LackingError, Outcome, ProbeResult, Refusal, Settings
from proxyconfig_agent.dataplane.sync.quarantine import refusal_of
from proxyconfig_agent.dataplane.userspace.kernel import processes
from proxyconfig_agent.dataplane.userspace.kernel.probe import find_flows
from proxyconfig_agent.dataplane.userspace.kernel.proxy import Proxy
from proxyconfig_agent.dataplane.userspace.lower import key_of, route_of
from proxyconfig_agent.dataplane.userspace.model.entrances import Entrances
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.dataplane.userspace.table.unserved import Unserved, refusals
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends


class _Step(Struct):
    """What changes come to: for the rules, and for the process."""

    changes: list[Change] = field(default_factory=list)
    routes: dict[str, tuple[ServiceName, Route | None]] = field(default_factory=dict)
    """By key; None: none any more."""
    refused: dict[ServiceName, Refusal] = field(default_factory=dict)
    """Services that bring out a fault of the agent."""

    def put(self) -> dict[str, Route]:
        return {key: route for key, (_, route) in self.routes.items() if route is not None}

    def gone(self, refused: Collection[ServiceName] = ()) -> list[str]:
        """What no rule leads to afterwards."""
        return [key for key, (service, route) in self.routes.items() if route is None or service in refused]


class UserspaceByIptables:
    """One node's Services, in the network namespace of the threads that use it. `lacking`: what userspace mode's own rules do not find."""

    def __init__(self, lacking: str) -> None:
        self._lacking = lacking
        self._rules, self._proxy = Iptables(TO_PROCESS), Proxy()
        self._entrances = Entrances()
        self._unserved: dict[Family, Unserved] = {}
        self._retirement: processes.Retirement | None = None

    def probe(self) -> ProbeResult:
        find_flows()
        try:
            return self._rules.probe()
        except LackingError as error:
            raise LackingError("userspace", f"{self._lacking}; and in place of nf_tables, {error.lack}") from error

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        ended = bool(self._unserved) and not self._proxy.is_running
        self._entrances = self._proxy.start(settings.proxy_addresses)
        self._unserved = {family: Unserved() for family in Family}
        step = self._step(Change(None, frontends) for frontends in wanted)
        stale = self._proxy.replace(step.put(), settings.udp_idle_s, mark(settings))
        outcome = self._rules.resync(settings, (change.new for change in step.changes if change.new is not None))
        self._proxy.drop([*stale, *step.gone(_services(outcome.refused))])
        repaired = ", ".join(filter(None, ("1 proxy processes" if ended else "", outcome.repaired)))
        return self._outcome(replace(outcome, operations=outcome.operations + ended, repaired=repaired), step)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        if not self._unserved:
            raise DataplaneError("userspace: changes came before the first full sync; call resync first")
        step = self._step(changes)
        self._proxy.put(step.put().values())
        outcome = self._rules.apply(step.changes)
        self._proxy.drop(step.gone(_services(outcome.refused)))
        return self._outcome(outcome, step)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        """The process may have connections to serve first, and programs may run."""
        return bool(changes)

    def disturbed(self) -> bool:
        return self._rules.disturbed() or (bool(self._unserved) and not self._proxy.is_running)

    def remove(self) -> None:
        """Take the rules away if they are this mode's, and end every proxy process. Raises DataplaneError and OSError."""
        self._remove_rules()
        self._proxy.end()
        self._unserved = {}

    def disarm(self) -> bool:
        return self._rules.disarm()

    def arm(self) -> None:
        self._rules.arm()

    def retire(self, drain_s: float) -> bool:
        if self._retirement is None:
            self._remove_rules()
            self._retirement = processes.Retirement()
        return self._retirement.step(drain_s)

    def scan(self) -> list[str]:
        return [*(self._rules.scan() if self._has_rules() else ()), *processes.lines()]

    def close(self) -> None:
        """The rules and the process stay; the process does not for long."""
        self._proxy.close()
        self._rules.close()

    def _remove_rules(self) -> None:
        if self._has_rules():
            self._rules.remove()

    def _has_rules(self) -> bool:
        """Not those that iptables mode has taken over: the chains have the same names."""
        return bool(self._unserved) or self._rules.left_behind

    def _step(self, changes: Iterable[Change]) -> _Step:
        step = _Step()
        for change in changes:
            if (known := change.new or change.old) is None:
                continue
            (old, _), (new, route) = self._lowered(change.old, step), self._lowered(change.new, step)
            step.changes.append(Change(old, new))
            step.routes[key_of(known)] = known.name.service, route
            self._unserved[known.family].note(known.name, change.new)
        return step

    def _lowered(self, frontends: Frontends | None, step: _Step) -> tuple[Frontends | None, Route | None]:
        """What the rules have of a Service port, and what the process has."""
        if frontends is None or frontends.name.service in step.refused:
            return None, None
        try:
            return redirected(frontends, self._entrances), route_of(frontends)
        except Exception as error:  # a fault of the agent, which concerns this Service alone
            step.refused[frontends.name.service] = refusal_of(frontends.name.service, error)
            return None, None

    def _outcome(self, outcome: Outcome, step: _Step) -> Outcome:
        refused = {refusal.service: refusal for refusal in (*outcome.refused, *step.refused.values())}
        services = dict.fromkeys(service for service, _ in step.routes.values() if service not in refused)
        unserved = refusals(services, self._unserved.values())
        return replace(outcome, refused=(*refused.values(), *unserved), relays=self._entrances.packed())


def _services(refused: Iterable[Refusal]) -> set[ServiceName]:
    return {refusal.service for refusal in refused}
