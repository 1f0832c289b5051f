"""The tables of one family as they are found, against what they are to be: who ran here before does not matter. Pure.

A node that kube-proxy ran, or an agent before this one, has the same chains; only what differs is written, and what is not wanted goes.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.iptables.delta import Edits, by_chain
from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.canonical import EMPTY, Normal, digest, normal
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Fixed, PortRules, Rules, Table
from proxyconfig_agent.dataplane.iptables.model.static_rules import JUMPS_OF_IPVS, JUMPS_TO_SERVERS, PROTECTION
from proxyconfig_agent.dataplane.iptables.tools.save import Saved

Jumps = tuple[tuple[Chain, str], ...]

SHARED = frozenset(
    {
        *(
            Chain(Table.FILTER, name)
            for name in (chain_names.SERVICES, chain_names.EXTERNAL_SERVICES, chain_names.NODE_PORTS, chain_names.PROXY_FIREWALL)
        ),
        *(Chain(Table.NAT, name) for name in (chain_names.SERVICES, chain_names.NODE_PORTS)),
    }
)
"""The chains that have rules of Services in them."""

KUBELET = Chain(Table.FILTER, chain_names.KUBELET_FIREWALL)


class TableDiff:
    """Ask `structure` first, then `port` for every Service port, then `rest`."""

    def __init__(self, fixed: Fixed, saved: Saved) -> None:
        self._fixed, self._saved = fixed, saved
        self._found = {chain: [normal(rule) for rule in saved.chains[chain]] for chain in SHARED if chain in saved.chains}
        self._place = {chain: {rule: place for place, rule in enumerate(rules)} for chain, rules in self._found.items()}
        self._wanted: dict[Chain, dict[str, None]] = {chain: {} for chain in SHARED}
        self._own: set[str] = set()
        self._disordered: set[Chain] = set()

    @property
    def empty(self) -> bool:
        """Whether neither kube-proxy nor an agent has been here."""
        return not self._saved.own and not self._found

    def structure(self) -> Edits:
        """What there always is, as far as it is missing, or wrong where no Service has rules."""
        edits = Edits()
        for chain, rules in self._fixed.chains.items():
            found = self._saved.chains.get(chain)
            if found is None:
                edits.chains[chain] = (*rules, *self._fixed.last.get(chain, ()))
            elif chain == KUBELET:
                edits.added += [(chain, rule) for rule in rules if normal(rule) not in map(normal, found)]
            elif chain not in SHARED and list(map(normal, rules)) != list(map(normal, found)):
                edits.chains[chain] = rules
        for chain, rule in self._fixed.jumps:
            if normal(rule) not in map(normal, self._saved.chains.get(chain, ())):
                edits.jumps.append((chain, rule))
                target = Chain(chain.table, rule.rpartition("-j ")[2])
                if target not in self._fixed.chains and target not in self._saved.chains:
                    edits.chains[target] = ()
        return edits

    def port(self, rules: PortRules) -> Edits:
        """What one Service port lacks; it is part of the desired rules from now on."""
        self._own.update(rules.own)
        edits = Edits({Chain(Table.NAT, name): each for name, each in rules.own.items() if self._differs(name, each)})
        for chain, wanted in by_chain(rules).items():
            self._wanted[chain].update(dict.fromkeys(wanted))
            place = self._place.get(chain, {})
            places = [place.get(normal(rule)) for rule in wanted]
            edits.added += [(chain, rule) for rule, found in zip(wanted, places, strict=True) if found is None]
            if len(wanted) > 1 and not _in_order(places):
                self._disordered.add(chain)
        return edits

    def forget(self, rules: PortRules) -> None:
        """Forget a Service port of the desired state. Its chains are the caller's to remove."""
        for chain, rule in rules.shared:
            self._wanted[chain].pop(rule, None)

    def stale(self) -> Iterator[tuple[Chain, Normal]]:
        """The rules in shared chains that are not wanted."""
        for chain in self._found:
            wanted = {normal(rule) for rule in self._wanted[chain]}
            yield from ((chain, rule) for rule in self._between(chain) if rule not in wanted)

    def rest(self) -> Edits:
        """What is not wanted, and chains that are not in order."""
        edits = Edits()
        for name, found in self._saved.own.items():
            if name not in self._own:
                _discard(edits, Chain(Table.NAT, name), self._saved, empty=found == EMPTY)
        for chain in self._found:
            if chain in self._disordered or not self._settled(chain):
                first, last = self._ends(chain)
                edits.chains[chain] = (*first, *self._wanted[chain], *last)
        self._discard_fixed(edits)
        return edits

    def _discard_fixed(self, edits: Edits) -> None:
        """What an agent or kube-proxy had besides in another mode."""
        kept = {(chain, normal(rule)) for chain, rule in self._fixed.jumps}
        for chain, rule in dict.fromkeys((*JUMPS_OF_IPVS, *JUMPS_TO_SERVERS)):
            form = normal(rule)
            found = [printed for printed in self._saved.chains.get(chain, ()) if normal(printed) == form]
            edits.removed += [(chain, printed) for printed in found if (chain, form) not in kept]
        for chain in (*chain_names.FIXED, *chain_names.OF_IPVS):
            if chain in self._saved.chains and chain not in self._fixed.chains:
                _discard(edits, chain, self._saved, empty=not self._saved.chains[chain])

    def _differs(self, name: str, rules: Rules) -> bool:
        found = self._saved.own.get(name)
        return found is None or found != digest(rules)

    def _settled(self, chain: Chain) -> bool:
        """Whether the found rules of a shared chain are all wanted, and where they have to be."""
        found = self._found[chain]
        first, last = ([normal(rule) for rule in rules] for rules in self._ends(chain))
        if found[: len(first)] != first or found[len(found) - len(last) :] != last:
            return False
        between = self._between(chain)
        known = set(between)
        wanted = {normal(rule) for rule in self._wanted[chain]}
        return len(known) == len(between) and known <= wanted

    def _between(self, chain: Chain) -> list[Normal]:
        """What is found where the rules of Services are, if the others are where they have to be."""
        found, (first, last) = self._found[chain], self._ends(chain)
        return found[len(first) : len(found) - len(last)]

    def _ends(self, chain: Chain) -> tuple[Rules, Rules]:
        return self._fixed.chains.get(chain, ()), self._fixed.last.get(chain, ())


def _discard(edits: Edits, chain: Chain, saved: Saved, *, empty: bool) -> None:
    """Delete a chain; one that a rule of another program leads to cannot be deleted, but can be emptied."""
    if chain not in saved.foreign:
        edits.gone.append(chain)
    elif not empty:
        edits.chains[chain] = ()


def _in_order(places: list[int | None]) -> bool:
    """Whether the rules of one Service port are found in their order; those that are missing will be added together, on one side."""
    found = [place for place in places if place is not None]
    return found == sorted(found) and len(found) in (0, len(places))


def without(saved: Saved, rules: PortRules) -> Edits:
    """What is there of a Service port, taken away."""
    edits = Edits(gone=[Chain(Table.NAT, name) for name in rules.own if name in saved.own])
    for chain, rule in rules.shared:
        if normal(rule) in map(normal, saved.chains.get(chain, ())):
            edits.removed.append((chain, rule))
    return edits


def unhooked(jumps: Jumps, saved: Saved) -> Edits:
    """Take these jumps away, and nothing else."""
    ours = {(chain, normal(rule)) for chain, rule in jumps}
    return Edits(removed=[(chain, rule) for chain, rule, form in _built_in(saved) if (chain, form) in ours])


def hooked(jumps: Jumps, saved: Saved) -> Edits:
    """Put those back that are missing."""
    there = {(chain, form) for chain, _, form in _built_in(saved)}
    return Edits(jumps=[(chain, rule) for chain, rule in jumps if (chain, normal(rule)) not in there])


def removal(jumps: Jumps, saved: Saved) -> Edits:
    """Take away all of this mode; what rules of others lead to stays as it is, and so do the chains of a kubelet that has any here."""
    kept = not _firewall_is_ours(saved)
    ours = {(chain, normal(rule)) for chain, rule in jumps if not (kept and rule.endswith(chain_names.KUBELET_FIREWALL))}
    edits, used = Edits(), set(saved.foreign)
    for chain, rule, form in _built_in(saved):
        if (chain, form) in ours:
            edits.removed.append((chain, rule))
        else:
            used.add(Chain(chain.table, rule.rpartition("-j ")[2].split(" ", 1)[0]))
    edits.gone = [chain for chain in here(saved) if chain not in used]
    return edits


def here(saved: Saved) -> Iterator[Chain]:
    """The chains of this mode that are there."""
    yield from (chain for chain in (*chain_names.FIXED, *chain_names.OF_IPVS) if chain in saved.chains)
    if _firewall_is_ours(saved):
        yield KUBELET
    yield from (Chain(Table.NAT, name) for name in saved.own)


def _firewall_is_ours(saved: Saved) -> bool:
    """Whether KUBE-FIREWALL is there, no kubelet keeps it, and nobody has other rules in it than kubelet's, which we write, too."""
    found = saved.chains.get(KUBELET)
    return found is not None and not saved.kubelet and {normal(rule) for rule in found} <= {normal(PROTECTION)}


def _built_in(saved: Saved) -> Iterator[tuple[Chain, str, Normal]]:
    for chain, rules in saved.chains.items():
        if chain not in chain_names.FIXED and chain not in chain_names.OF_IPVS and chain != KUBELET:
            yield from ((chain, rule, normal(rule)) for rule in rules)
