"""What a full resync had to repair, in words for a metric, a log line and an Event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from proxyconfig_agent.nftables.netlink.messages import Kind, Message
from proxyconfig_agent.nftables.ruleset import Elements

_NOUNS = {
    Kind.NEW_TABLE: "tables",
    Kind.NEW_CHAIN: "chains",
    Kind.DELETE_CHAIN: "chains",
    Kind.NEW_RULE: "rules",
    Kind.NEW_SET: "sets",
    Kind.DELETE_SET: "sets",
}


class Repairs:
    """Counts what was missing or wrong, by noun."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note_messages(self, messages: Iterable[Message]) -> None:
        self._counts.update(noun for message in messages if (noun := _NOUNS.get(message.kind)))

    def note_elements(self, deleted: Elements, added: Elements) -> None:
        """A changed value is one element, though it is deleted and added."""
        for name in deleted.keys() | added.keys():
            if concerned := len(deleted.get(name, {}).keys() | added.get(name, {}).keys()):
                self._counts[f"elements of {name}"] += concerned

    def __str__(self) -> str:
        return ", ".join(f"{count} {noun}" for noun, count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))
