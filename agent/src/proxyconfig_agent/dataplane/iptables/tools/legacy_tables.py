"""What the tables of iptables-legacy hold, read from the kernel by python-iptables: a second opinion for clean-up.

Rules that were made through iptables-legacy stay in force when the node goes over to iptables-nft, whose programs do not see them. An agent
that runs reads them with iptables-legacy-save, which costs less (docs/adr/0014).
"""

from __future__ import annotations

from collections.abc import Iterator

import iptc

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.iptables.tools.binaries import legacy_tables_of
from proxyconfig_agent.ingest.model import Family

_TABLES = {Family.IPV4: ("ip", iptc.Table), Family.IPV6: ("ip6", iptc.Table6)}


def chains() -> Iterator[str]:
    """The chains of this mode, in the words of `Iptables.scan`. Raises OSError.

    Only of tables that there are: to open another would make it."""
    for family, (word, table_of) in _TABLES.items():
        there = legacy_tables_of(family)
        for table in Table:
            if table in there:
                found = (Chain(table, chain.name) for chain in table_of(table.value).chains)
                yield from (f"chain {word} {table.value} {chain.name}" for chain in found if _is_ours(chain))


def _is_ours(chain: Chain) -> bool:
    fixed = (*chain_names.FIXED, *chain_names.OF_IPVS)
    return chain in fixed or (chain.table is Table.NAT and chain_names.is_of_service(chain.name))
