"""What iptables-save prints, and in what two of them differ: nothing but the order that kube-proxy itself leaves open is left out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SHARED = {
    "filter KUBE-SERVICES",
    "filter KUBE-EXTERNAL-SERVICES",
    "filter KUBE-NODEPORTS",
    "filter KUBE-PROXY-FIREWALL",
    "nat KUBE-SERVICES",
    "nat KUBE-NODEPORTS",
}
"""kube-proxy goes through the ports of all Services in the order of a Go map, which is another one every time."""
LAST = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
_HASH = re.compile(r"\b[A-Z2-7]{16}\b")
# A comment of ours and of kube-proxy has no quotation mark in it.
_COMMENT = re.compile(r'--comment (?:"(?P<quoted>[^"]*)"|(?P<word>\S+))')
_COUNTERS = re.compile(r" \[\d+:\d+\]$")


@dataclass(frozen=True, slots=True)
class Tables:
    """The rules of each chain of one family, by `table CHAIN`; with the policy, where it has one, before them."""

    chains: Mapping[str, tuple[str, ...]] = field(repr=False)

    @property
    def rules(self) -> int:
        return sum(len(rules) - 1 for rules in self.chains.values())


def parse(saved: str) -> Tables:
    """The output of iptables-save, counters left out."""
    chains: dict[str, list[str]] = {}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            name, policy = _COUNTERS.sub("", line[1:]).split()
            chains[f"{table} {name}"] = [policy]
        elif line.startswith("-A "):
            _, name, rule = line.split(" ", 2)
            chains.setdefault(f"{table} {name}", []).append(rule)  # somebody may be about to write the chain
    return Tables({name: tuple(rules) for name, rules in chains.items()})


def differences(theirs: Tables, ours: Tables) -> list[str]:
    """Each rule that only one of them has, or has elsewhere, as `table CHAIN -rule` (only theirs) or `+rule` (only ours)."""
    return [
        f"{name} {line}"
        for name in sorted({*theirs.chains, *ours.chains})
        for line in _lines(_ordered(name, theirs.chains.get(name, ())), _ordered(name, ours.chains.get(name, ())))
    ]


def without_hashes(line: str) -> str:
    """The line, with `*` for what tells the chains of one Service port from those of another."""
    return _HASH.sub("*", line)


def _lines(theirs: list[str], ours: list[str]) -> Iterator[str]:
    compared = difflib.unified_diff(theirs, ours, lineterm="", n=0)
    yield from (line for line in compared if not line.startswith(("---", "+++", "@@")))


def _ordered(name: str, rules: tuple[str, ...]) -> list[str]:
    """The rules; in a chain that Services share, ordered by Service port, those of one Service port as they stand.

    What leads on to the node ports comes behind all Services; to several addresses in any order."""
    if name not in SHARED:
        return list(rules)
    end = len(rules)
    while end and _comment(rules[end - 1]) == LAST:
        end -= 1
    return [*rules[:1], *sorted(rules[1:end], key=_service_port), *sorted(rules[end:])]


def _service_port(rule: str) -> str:
    """`namespace/name:port`, with which each comment in such a chain begins."""
    return _comment(rule).split(" ")[0]


def _comment(rule: str) -> str:
    found = _COMMENT.search(rule)
    return (found["quoted"] or found["word"]) if found else ""
