"""Oracles for each mode, and the simulator's answers in the words of an oracle."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from tests.support.scenarios.scenario import BEYOND
from tests.support.simulator.answers import shares
from tests.support.simulator.cases import Flow
from tests.support.simulator.node import NetnsNode
from tests.support.simulator.oracle import KEPT, MASQUERADED, Expected, Habits

from proxyconfig_agent.checks.walker.path import Rules

HABITS: Mapping[str, Habits] = {
    "nftables": Habits(
        rejects_unknown_ports=True, drops_unallocated=True, firewall_without_endpoints=True, masquerades_cluster_addresses=True
    ),
    "iptables": Habits(
        rejects_unknown_ports=False,
        drops_unallocated=False,
        firewall_without_endpoints=False,
        masquerades_cluster_addresses=False,
        serves_localhost=True,
        refuses_the_node=False,
        refuses_on_every_address=True,
    ),
    "ipvs": Habits(rejects_unknown_ports=True, drops_unallocated=True, firewall_without_endpoints=True, masquerades_cluster_addresses=True),
    "userspace": Habits(
        rejects_unknown_ports=True,
        drops_unallocated=True,
        firewall_without_endpoints=True,
        masquerades_cluster_addresses=False,
        proxied=True,
    ),
}
NO_RULES = Habits(
    rejects_unknown_ports=False, drops_unallocated=False, firewall_without_endpoints=False, masquerades_cluster_addresses=False
)
"""Of a node where nothing is served."""


def heard(rules: Rules, flow: Flow, node: NetnsNode) -> Expected:
    """What becomes of a flow on the simulator."""
    said: Expected = {}
    for answer, share in shares(rules, flow.packet(node), node).items():
        words = in_words(answer, flow)
        said[words] = said.get(words, Fraction(0)) + share
    return said


def in_words(answer: str, flow: Flow) -> str:
    """An answer to a flow."""
    words = answer.split()
    if words[0] == BEYOND:
        return BEYOND
    if len(words) != 3:
        return answer
    return f"{words[0]}:{words[2]} {KEPT if words[1] == flow.own else MASQUERADED}"
