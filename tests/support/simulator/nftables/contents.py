"""What a simulated kernel's tables hold where nothing in them is numbered: two that serve the same Services are equal as values."""

from __future__ import annotations

from tests.support.simulator.nftables.kernel import SimulatedKernel

State = dict[str, object]
"""By kind and name of the object."""


def contents_of(kernel: SimulatedKernel) -> State:
    """Everything that packets could notice."""
    state: State = {}
    for (family, table), held in kernel.tables.items():
        for name, chain in held.chains.items():
            rules = [rule.expressions for rule in chain.rules]
            state[f"{family} {table} chain {name}"] = chain.kind, chain.hook, chain.priority, rules
        for name, each in held.sets.items():
            elements = {(element.key, element.end): (element.value, element.verdict) for element in each.elements.values()}
            state[f"{family} {table} set {name}"] = each.flags, each.key_length, each.value_length, each.size, elements
    return state
