"""The difference between two sets of elements: what to delete, what to add. Pure; `delta(x, x)` is empty."""

from __future__ import annotations

from msgspec import Struct, field

from proxyconfig_agent.dataplane.tables.model.elements import counted
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements


class Delta(Struct):
    """Deletions come before additions in a transaction: the kernel cannot change the value of a key in place."""

    deleted: Elements = field(default_factory=dict)
    added: Elements = field(default_factory=dict)

    def __len__(self) -> int:
        return counted(self.deleted) + counted(self.added)

    def absorb(self, other: Delta) -> None:
        """Take another difference over, which is not to be used afterwards.

        The same key may be deleted by one and added by the other, but not added by both."""
        for ours, theirs in ((self.deleted, other.deleted), (self.added, other.added)):
            for name, elements in theirs.items():
                if name in ours:
                    ours[name].update(elements)
                else:
                    ours[name] = elements


def delta(old: Elements, new: Elements) -> Delta:
    """What makes `new` of `old`."""
    return Delta(_without(old, new), _without(new, old))


def _without(elements: Elements, others: Elements) -> Elements:
    """The elements that are not, with the same tail, among the others."""
    found: Elements = {}
    for name, mapping in elements.items():
        same = others.get(name)
        if not same:
            found[name] = mapping
        elif mapping != same and (rest := {key: tail for key, tail in mapping.items() if same.get(key) != tail}):
            found[name] = rest
    return found
