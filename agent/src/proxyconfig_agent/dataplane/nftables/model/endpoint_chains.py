"""Pick chains: one for each number of endpoints in use (and affinity timeout), shared by all Services with that number."""

from __future__ import annotations

import re
from typing import NamedTuple

from proxyconfig_agent.dataplane.nftables.model import mark_matches, sets
from proxyconfig_agent.dataplane.nftables.model.service_mark import LOCAL_LIST
from proxyconfig_agent.dataplane.tables.model import matches
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Chain, Rule, twice
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Meta, Update, Verdict

_NAME = re.compile(r"(sticky-)?(pick|local)-(\d+)(?:-(\d+))?")


class EndpointChain(NamedTuple):
    """How an endpoint is chosen: out of how many, of the cluster or the local list, with which affinity timeout (0: none)."""

    endpoints: int
    local: bool = False
    affinity_s: int = 0

    @property
    def chain(self) -> str:
        name = f"{'local' if self.local else 'pick'}-{self.endpoints}"
        return f"sticky-{name}-{self.affinity_s}" if self.affinity_s else name


def pick_of(chain: str) -> EndpointChain | None:
    """The pick whose chain has this name; None for other chains."""
    match = _NAME.fullmatch(chain)
    if not match or bool(match[1]) != bool(match[4]):
        return None
    return EndpointChain(int(match[3]), match[2] == "local", int(match[4] or 0))


def needed_by(pick: EndpointChain) -> tuple[EndpointChain, ...]:
    """The picks whose chains a pick's own rules go to."""
    return (EndpointChain(1, pick.local),) if pick.endpoints > 1 and not pick.affinity_s else ()


def chain_of(pick: EndpointChain, family: Family) -> Chain:
    return _sticky(pick, family) if pick.affinity_s else _plain(pick, family)


def _plain(pick: EndpointChain, family: Family) -> Chain:
    """Registers: 0 id, 1 index, 8.. endpoint."""
    choose = mark_matches.identity() + x.random_number(pick.endpoints, _offset(pick), 1) + x.lookup(sets.ENDPOINTS, 0, 8)
    # A packet can meet an older chain with a newer, shorter list: rules are of the generation it started with, elements of now.
    otherwise = [Rule(x.verdict(Verdict.GOTO, first.chain), "list changed meanwhile") for first in needed_by(pick)]
    rule = Rule(choose + _translate(family))
    return Chain((rule, *otherwise) if otherwise else twice(rule))


def _sticky(pick: EndpointChain, family: Family) -> Chain:
    """Registers: 0 word, 1.. client, 5 new word, 8.. endpoint. A look-up that misses ends the rule: the order is the control flow."""
    endpoints = sets.STICKY_LOCAL_ENDPOINTS if pick.local else sets.STICKY_ENDPOINTS
    client = mark_matches.identity() + matches.source(family, 1)
    remember = client + x.meta(Meta.PRIORITY, 5) + x.dynset(sets.AFFINITY, Update.UPDATE, 0, 5, 1000 * pick.affinity_s)
    # `update` of a key that exists keeps its old value, so the entry of an endpoint that went away is deleted first.
    forget = client + x.meta(Meta.PRIORITY, 5) + x.dynset(sets.AFFINITY, Update.DELETE, 0, 5)
    to_slot = x.meta(Meta.PRIORITY, 0) + x.lookup(endpoints, 0, 8) + _translate(family)
    known = client + x.lookup(sets.AFFINITY, 0, 0) + x.set_meta(Meta.PRIORITY, 0)
    return Chain(
        (
            # Finding the endpoint is the check that it is alive: if it is not, the rule ends and the next one chooses anew.
            Rule(known + remember + to_slot, "known client"),
            Rule(_choose_slot(pick, pick.endpoints) + forget + remember + to_slot, "new client"),
            Rule(to_slot, "affinity map is full"),
            Rule(_choose_slot(pick, 1) + to_slot, "list changed meanwhile"),
        )
    )


def _choose_slot(pick: EndpointChain, count: int) -> bytes:
    numbered = mark_matches.identity() + x.random_number(count, _offset(pick), 1)
    return numbered + x.lookup(sets.STICKY_LISTS, 0, 0) + x.set_meta(Meta.PRIORITY, 0)


def _translate(family: Family) -> bytes:
    return x.destination_nat(NFPROTO[family], 8, 8 + family.size // 4)


def _offset(pick: EndpointChain) -> int:
    return LOCAL_LIST if pick.local else 0
