"""The rules of ipvs mode where the kernel has no nf_tables: iptables mode's chains, and sets of ip_set, lead to virtual servers.

A change is first in the sets, then in the chains, and what goes leaves the sets last. Endpoints are in neither.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from proxyconfig_agent.dataplane.combined.ipvs_chains import TO_SERVERS, led
from proxyconfig_agent.dataplane.combined.ipvs_entries import CLUSTER_IP, KINDS, entries_of, of_port, udp_destinations
from proxyconfig_agent.dataplane.combined.ipvs_held import Held
from proxyconfig_agent.dataplane.combined.ipvs_sets import Sets
from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.ipvs.kernel.rules import Plans
from proxyconfig_agent.dataplane.ipvs.table.state import Plan
from proxyconfig_agent.dataplane.port import (
    ConflictError,
    Destination,
    LackingError,
    Outcome,
    ProbeResult,
    Rules,
    Settings,
)
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.ipset_messages import Entry


class RulesOfIptables:
    """`lacking`: what the rules of nf_tables do not find."""

    is_slow = True

    def __init__(self, lacking: str = "") -> None:
        self._lacking = lacking
        self.chains, self.sets = Iptables(TO_SERVERS), Sets()
        self.held: dict[Family, Held] = {}
        self._unserved: Mapping[Family, str] = {}
        self._is_invalid = False
        self.counted: Mapping[tuple[Family, str], Rules] = {}

    def features(self) -> Mapping[str, str]:
        try:
            with self.sets.probed() as lacks:
                found = self._probed(lacks)
        except LackingError as error:
            raise LackingError("ipvs", f"{self._lacking}; and in place of nf_tables, {error.lack}") from error
        self._unserved = {**found.unserved, **lacks}
        return found.features

    def lack(self, family: Family) -> str:
        return self._unserved.get(family, "")

    @contextlib.contextmanager
    def begin_read(self) -> Iterator[None]:
        self._is_invalid = True
        yield
        self._is_invalid = False

    def invalidate(self) -> None:
        self._is_invalid = True

    def changed_externally(self) -> bool:
        return self._is_invalid or self.chains.disturbed()

    def full_sync(self, settings: Settings, families: Iterable[Family]) -> ChainsSync:
        families = tuple(families)
        for family in families:
            self.sets.ensure(family)
        return ChainsSync(self, settings, {family: self.sets.read(family) for family in families})

    def lead(self, plans: Plans) -> None:
        """Raises ConflictError for a Service that iptables refuses: a full resync takes it out."""
        sides = {family: self.held[family].sides(family, plan) for family, plan in plans.items()}
        changes = [change for family, plan in plans.items() for change in self.held[family].changes(plan)]
        for family, (added, _) in sides.items():
            self.sets.add(family, added)
        if changes:
            outcome = self.chains.apply(changes)
            self.counted = outcome.rules
            if outcome.refused:
                raise ConflictError(f"ipvs: {outcome.refused[0].service}: {outcome.refused[0].reason}; a full resync takes it out")
        for family, (_, deleted) in sides.items():
            self.sets.delete(family, deleted)
            self.held[family].keep(plans[family])

    def disarm(self) -> bool:
        return self.chains.disarm()

    def arm(self) -> None:
        self.chains.arm()

    def remove(self) -> None:
        """Not the chains that another mode has taken over: they have the same names."""
        if self._has_chains():
            self.chains.remove()
        self.sets.remove()
        self.held = {}

    def scan(self) -> Iterator[str]:
        if self._has_chains():
            yield from self.chains.scan()
        yield from self.sets.scan()

    def close(self) -> None:
        self.chains.close()
        self.sets.close()

    def _probed(self, lacks: Mapping[Family, str]) -> ProbeResult:
        if len(lacks) == len(Family):
            raise LackingError("ipvs", "; ".join(dict.fromkeys(lacks.values())))
        return self.chains.probe()

    def _has_chains(self) -> bool:
        return bool(self.held) or self.chains.left_behind


class ChainsSync:
    """`found`: the entries of the sets."""

    def __init__(self, rules: RulesOfIptables, settings: Settings, found: Mapping[Family, Mapping[str, frozenset[Entry]]]) -> None:
        self._rules, self._settings, self._found = rules, settings, found
        self._outcome = Outcome()

    def lead(self, plans: Plans) -> None:
        wanted = {family: _wanted(family, plan) for family, plan in plans.items()}
        for family, sets in wanted.items():
            self._rules.sets.add(family, {stem: some - self._found[family][stem] for stem, some in sets.items()})
        ports = (rules for plan in plans.values() for new in plan.ports.values() if new and (rules := led(new)))
        self._outcome = self._rules.chains.resync(self._settings, ports)
        self._rules.counted = self._outcome.rules
        if self._outcome.refused:
            raise RefusedError(self._outcome.refused[0])
        for family, sets in wanted.items():
            self._rules.sets.delete(family, {stem: self._found[family][stem] - some for stem, some in sets.items()})
            self._rules.held[family] = held = Held()
            held.keep(plans[family])

    def outcome(self, plans: Plans) -> Outcome:
        """With what was missing in the sets, or too much."""
        entries, abandoned = 0, list[Destination](self._outcome.abandoned)
        for family, plan in plans.items():
            wanted = _wanted(family, plan)
            entries += sum(len(wanted[stem] ^ found) for stem, found in self._found[family].items())
            abandoned += udp_destinations(self._found[family][CLUSTER_IP] - wanted[CLUSTER_IP], family)
        repaired = ", ".join(filter(None, (f"{entries} entries of sets" if entries else "", self._outcome.repaired)))
        return replace(self._outcome, operations=self._outcome.operations + entries, repaired=repaired, abandoned=tuple(abandoned))


def _wanted(family: Family, plan: Plan) -> dict[str, set[Entry]]:
    wanted = {stem: set[Entry]() for stem in KINDS} | entries_of(plan.elements.added, family)
    for new in plan.ports.values():
        for stem, entry in of_port(new) if new else ():
            wanted[stem].add(entry)
    return wanted
