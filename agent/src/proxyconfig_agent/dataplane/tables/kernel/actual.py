"""What the kernel's table holds, as values, and how far it is from what it should hold. `dump` makes them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from proxyconfig_agent.dataplane.tables.model.ruleset import Chain, Container, Hook
from proxyconfig_agent.netlink.nftables import userdata
from proxyconfig_agent.netlink.nftables.expressions import covers


class HeldContainer(Struct, frozen=True):
    key_length: int
    value_length: int
    flags: int

    def fits(self, wanted: Container) -> bool:
        value_length = wanted.value[1] if wanted.value else 0
        return (self.key_length, self.value_length, self.flags) == (wanted.key_length, value_length, wanted.flags)


class HeldChain(Struct, frozen=True):
    hook: Hook | None
    accepts: bool
    """The policy of a base chain."""
    rules: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Expressions and userdata, as the kernel prints them."""

    def has_rules_of(self, wanted: Chain) -> bool:
        if len(self.rules) != len(wanted.rules):
            return False
        return all(
            userdata.comment_in(octets) == rule.comment and covers(expressions, rule.expressions)
            for (expressions, octets), rule in zip(self.rules, wanted.rules, strict=True)
        )


class ActualTable(Struct, frozen=True):
    """A table as it is. Without the elements of its sets."""

    awake: bool
    """Not dormant."""
    containers: Mapping[str, HeldContainer] = field(default_factory=dict)
    chains: Mapping[str, HeldChain] = field(default_factory=dict)

    def fits(self, containers: Mapping[str, Container], chains: Mapping[str, Chain]) -> bool:
        """Whether it can be repaired in place: what cannot be changed in a set or a base chain is as wanted."""
        return all(held.fits(containers[name]) for name, held in self.containers.items() if name in containers) and all(
            held.hook == chains[name].hook and held.accepts for name, held in self.chains.items() if name in chains
        )
