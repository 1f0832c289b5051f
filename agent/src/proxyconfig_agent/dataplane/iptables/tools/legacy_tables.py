"""What the tables of iptables-legacy hold, read from the kernel by python-iptables: a second opinion for clean-up.

Rules that were made through iptables-legacy stay in force when the node goes over to iptables-nft, whose programs do not see them. An agent
that runs does without: it would cost it 23 MiB (docs/adr/0014).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import iptc

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.ingest.model import Family

_TABLES = {Family.IPV4: ("ip", iptc.Table, "ip_tables_names"), Family.IPV6: ("ip6", iptc.Table6, "ip6_tables_names")}


def chains() -> Iterator[str]:
    """The chains of this mode, in the words of `Iptables.scan`. Raises OSError.

    Only of tables that there are: to open another would make it."""
    for word, table_of, listed in _TABLES.values():
        for table in Table:
            if table in _there(listed):
                found = (Chain(table, chain.name) for chain in table_of(table.value).chains)
                yield from (f"chain {word} {table.value} {chain.name}" for chain in found if _is_ours(chain))


def _there(listed: str) -> list[str]:
    """The names of the tables, which the kernel lists once its module is loaded."""
    path = Path("/proc/thread-self/net", listed)
    return path.read_text().split() if path.exists() else []


def _is_ours(chain: Chain) -> bool:
    return chain in chain_names.FIXED or (chain.table is Table.NAT and chain_names.is_of_service(chain.name))
