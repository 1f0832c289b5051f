"""What others can do to our chains: `iptables` in the hands of an administrator, a firewall that is loaded anew."""

from __future__ import annotations

from random import Random

from tests.support.simulator.iptables.tables import BUILT_IN, Tables

from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table


def damage(tables: Tables, random: Random) -> None:
    """One thing that somebody did. In which order built-in chains lead to ours, and how often, is not ours to decide."""
    chain = random.choice([chain for chain, rules in sorted(tables.chains.items()) if rules])
    rules = tables.chains[chain]
    match random.randrange(4 if _is_built_in(chain) else 7):
        case 0:
            rules.clear()
        case 1:
            _load_anew(tables, random.choice(list(Table)))
        case 2 | 3:
            rules.remove(random.choice(rules))
        case 4:
            random.shuffle(rules)
        case 5:
            rules.insert(random.randrange(len(rules) + 1), random.choice(rules))
        case _:
            rules.insert(random.randrange(len(rules) + 1), "-s 192.0.2.1/32 -j DROP")


def _load_anew(tables: Tables, table: Table) -> None:
    """A table is as after a boot."""
    for chain in [chain for chain in tables.chains if chain.table is table]:
        if _is_built_in(chain):
            tables.chains[chain] = []
        else:
            del tables.chains[chain]


def _is_built_in(chain: Chain) -> bool:
    return chain.name in BUILT_IN[chain.table]
