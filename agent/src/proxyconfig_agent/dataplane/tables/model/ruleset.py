"""What a table of ours holds, as values: rules, chains, sets, and the elements of sets."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi

NFPROTO = {Family.IPV4: uapi.NFPROTO_IPV4, Family.IPV6: uapi.NFPROTO_IPV6}

Elements = dict[str, dict[bytes, bytes]]
"""Per set: the key, and everything behind it as the kernel encodes it (end of an interval, value, comment)."""


class Rule(Struct, frozen=True):
    expressions: bytes
    comment: str = ""


def twice(rule: Rule) -> tuple[Rule, Rule]:
    """A rule that goes elsewhere when its look-up finds something, and looks again when it does not.

    Kernels before 6.17 (b2f742c846ca) can miss an element that a transaction exchanges at that moment: the look-up has decided for the
    old generation, and when it comes to the element, that one is gone and the new one is not valid for the old generation. A second look
    is of the new one.
    """
    return rule, Rule(rule.expressions, "look again: it may be exchanged just now")


class Hook(Struct, frozen=True):
    """Where a base chain meets packets: `kind` is nat or filter, `number` the kernel's NF_INET_ number."""

    kind: str
    number: int
    priority: int


class Chain(Struct, frozen=True):
    rules: tuple[Rule, ...]
    hook: Hook | None = None


class Container(Struct, frozen=True):
    """A set or (with `value`) a map: nft's type numbers and lengths of key and value, the kernel's flags, nft's userdata."""

    key: tuple[int, int]
    value: tuple[int, int] | None = None
    flags: int = 0
    fields: tuple[int, ...] = ()
    size: int = 0
    userdata: bytes = b""

    @property
    def key_length(self) -> int:
        return self.key[1]


class Fixed(Struct, frozen=True):
    """The part of a table that depends on Settings alone, not on any Service."""

    containers: Mapping[str, Container]
    chains: Mapping[str, Chain]
    elements: Elements = field(default_factory=dict)
