"""A table's elements as the kernel keeps them: strict about what exists, all or nothing."""

from __future__ import annotations

from proxyconfig_agent.dataplane.nftables.kernel.held_elements import HeldElements
from proxyconfig_agent.dataplane.tables.delta import Delta
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements


class KernelModel:
    def __init__(self) -> None:
        self.elements: dict[str, dict[bytes, bytes]] = {}

    def commit(self, delta: Delta) -> None:
        """Deletes, then adds. What is not there cannot be deleted, what is there cannot be added."""
        after = {name: dict(elements) for name, elements in self.elements.items()}
        for name, elements in delta.deleted.items():
            for key, tail in elements.items():
                assert after[name].pop(key) == tail, f"{name} had another value for {key.hex()}"
        for name, elements in delta.added.items():
            for key, tail in elements.items():
                assert key not in after.setdefault(name, {}), f"{name} has {key.hex()} already"
                after[name][key] = tail
        self.elements = {name: elements for name, elements in after.items() if elements}

    def held(self) -> HeldElements:
        """As a restarted agent reads it."""
        held = HeldElements()
        for name, elements in self.elements.items():
            held.fill(name, elements.items())
        return held


def union(*all_elements: Elements) -> dict[str, dict[bytes, bytes]]:
    whole: dict[str, dict[bytes, bytes]] = {}
    for elements in all_elements:
        for name, mapping in elements.items():
            if mapping:
                whole.setdefault(name, {}).update(mapping)
    return whole
