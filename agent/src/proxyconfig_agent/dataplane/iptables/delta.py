"""What has to be done to the tables of one family to bring a Service port from old to new. Pure; `restore` makes the text of it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, PortRules, Rules, Table

NONE = PortRules()
"""A Service port that is not there."""


class Edits(Struct):
    """Changes of the tables. Those of one table take effect together."""

    chains: dict[Chain, Rules] = field(default_factory=dict)
    """Chains that are written whole; what is not there yet is made."""
    removed: list[tuple[Chain, str]] = field(default_factory=list)
    """Single rules of chains that are not written whole, one of each."""
    added: list[tuple[Chain, str]] = field(default_factory=list)
    """Single rules, in this order as far as they are in one chain."""
    jumps: list[tuple[Chain, str]] = field(default_factory=list)
    """Rules on top of built-in chains, each above those before it."""
    gone: list[Chain] = field(default_factory=list)
    """Chains to be emptied and deleted."""

    def __len__(self) -> int:
        """How many objects of the kernel are concerned."""
        return len(self.chains) + len(self.removed) + len(self.added) + len(self.jumps) + len(self.gone)


def delta(old: PortRules, new: PortRules) -> Edits:
    """From what a Service port had to what it is to have: its own chains that differ are written whole, rules in shared chains singly."""
    edits = Edits(
        chains={Chain(Table.NAT, name): rules for name, rules in new.own.items() if old.own.get(name) != rules},
        gone=[Chain(Table.NAT, name) for name in old.own if name not in new.own],
    )
    if old.shared != new.shared:
        before, after = by_chain(old), by_chain(new)
        for chain in before.keys() | after.keys():
            if before.get(chain) != after.get(chain):
                # All of them, so that their order is right whatever stays.
                edits.removed += [(chain, rule) for rule in before.get(chain, ())]
                edits.added += [(chain, rule) for rule in after.get(chain, ())]
    return edits


def by_chain(rules: PortRules) -> Mapping[Chain, Rules]:
    """The rules in shared chains, chain by chain."""
    chains: dict[Chain, Rules] = {}
    for chain, rule in rules.shared:
        chains[chain] = (*chains.get(chain, ()), rule)
    return chains
