"""What chains and sets of ipvs mode have of one family, and what a plan changes of it. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct, field

from proxyconfig_agent.dataplane.combined.ipvs_chains import led
from proxyconfig_agent.dataplane.combined.ipvs_entries import entries_of, of_port
from proxyconfig_agent.dataplane.ipvs.table.state import Plan
from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.ipset_messages import Entry
from proxyconfig_agent.select.frontends import Frontends, PortName

Sides = tuple[dict[str, set[Entry]], dict[str, set[Entry]]]
"""Of the sets: what comes, and what goes."""


class Held(Struct):
    """By Service port; nothing of those that only have a ClusterIP and endpoints elsewhere."""

    led: dict[PortName, Frontends] = field(default_factory=dict)
    of_ports: dict[PortName, frozenset[tuple[str, Entry]]] = field(default_factory=dict)
    counts: Counter[tuple[str, Entry]] = field(default_factory=Counter)
    """How many Service ports have each."""

    def keep(self, plan: Plan) -> None:
        """The kernel has it."""
        for name, new in plan.ports.items():
            self._put(name, led(new) if new else None, of_port(new) if new else frozenset())

    def _put(self, name: PortName, rules: Frontends | None, entries: frozenset[tuple[str, Entry]]) -> None:
        self.led.pop(name, None)
        gone = self.of_ports.pop(name, frozenset())
        self.counts.update(entries)
        self.counts.subtract(gone)
        for entry in gone:
            if self.counts[entry] <= 0:
                del self.counts[entry]
        if rules:
            self.led[name] = rules
        if entries:
            self.of_ports[name] = entries

    def changes(self, plan: Plan) -> Iterator[Change]:
        """Of rules."""
        for name, new in plan.ports.items():
            before, after = self.led.get(name), led(new) if new else None
            if before != after:
                yield Change(before, after)

    def sides(self, family: Family, plan: Plan) -> Sides:
        added, deleted = entries_of(plan.elements.added, family), entries_of(plan.elements.deleted, family)
        change: Counter[tuple[str, Entry]] = Counter()
        for name, new in plan.ports.items():
            change.update(of_port(new) if new else ())
            change.subtract(self.of_ports.get(name, ()))
        for (stem, entry), by in change.items():
            before, after = self.counts[stem, entry], self.counts[stem, entry] + by
            if bool(before) is not bool(after):
                (deleted if before else added).setdefault(stem, set()).add(entry)
        return added, {stem: some - added.get(stem, set()) for stem, some in deleted.items()}
