"""What the iptables tables of one family hold, as values: rules as text, in kube-proxy's order (pkg/proxy/iptables, Kubernetes 1.36)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct, field


class Table(enum.StrEnum):
    FILTER = "filter"
    NAT = "nat"
    MANGLE = "mangle"


class Chain(NamedTuple):
    table: Table
    name: str


Rules = tuple[str, ...]
"""Each as it stands behind `-A CHAIN ` in the input of iptables-restore, in kube-proxy's words and order."""


class Features(Struct, frozen=True):
    """What the rules depend on besides Settings: what this node's iptables and kernel can do."""

    random_fully: bool = True
    """MASQUERADE knows --random-fully (iptables 1.6.2 and later)."""
    liberal: bool = False
    """nf_conntrack_tcp_be_liberal is set: no packet counts as INVALID for being out of the window, so there is no rule that drops those."""
    counters: bool = False
    """The kernel has nfacct objects (module xt_nfacct)."""


class PortRules(Struct, frozen=True):
    """What one Service port needs in one family."""

    shared: tuple[tuple[Chain, str], ...] = ()
    """Rules in the chains that all Services share, in order (KUBE-SERVICES, KUBE-NODEPORTS, KUBE-EXTERNAL-SERVICES, …)."""
    own: Mapping[str, Rules] = field(default_factory=dict)
    """Chains of table nat that are this Service port's alone, whole: KUBE-SVC-, KUBE-SVL-, KUBE-FW-, KUBE-EXT-, KUBE-SEP-."""


class Fixed(Struct, frozen=True):
    """What does not depend on any Service."""

    jumps: tuple[tuple[Chain, str], ...]
    """Rules in built-in chains that lead to ours, in the order in which kube-proxy inserts them, each above those before it.

    One may lead to a chain that is not in `chains`: that one is made if it is missing, and what is in it stays."""
    chains: Mapping[Chain, Rules]
    """Our chains that there always are, with the rules that come before those of Services."""
    last: Mapping[Chain, Rules] = field(default_factory=dict)
    """Rules behind those of all Services: in KUBE-SERVICES the jump to KUBE-NODEPORTS."""
