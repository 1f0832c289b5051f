"""What a full resync had to repair in our tables, from the messages and elements that it sends."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.dataplane.sync.drift import Drift
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.netlink.nftables.messages import Kind, Message

_NOUNS = {
    Kind.NEW_TABLE: "tables",
    Kind.NEW_CHAIN: "chains",
    Kind.DELETE_CHAIN: "chains",
    Kind.NEW_RULE: "rules",
    Kind.NEW_SET: "sets",
    Kind.DELETE_SET: "sets",
}


class Repairs(Drift):
    """Counts what was missing or wrong, by noun, and names the chains whose rules were."""

    def note_messages(self, messages: Iterable[Message], *, cold: bool) -> None:
        """`cold`: there was no table, which says it all."""
        for message in messages:
            if noun := _NOUNS.get(message.kind):
                self.count(noun)
            if message.kind is Kind.NEW_RULE and not cold:
                self.of(message.about.removeprefix("a rule of "))

    def note_elements(self, deleted: Elements, added: Elements) -> bool:
        """A changed value is one element, though it is deleted and added. Whether there were any."""
        concerned = {name: len(deleted.get(name, {}).keys() | added.get(name, {}).keys()) for name in deleted.keys() | added.keys()}
        for name, number in concerned.items():
            self.count(f"elements of {name}", number)
        return any(concerned.values())
