"""The tables of this mode: one for each family, with one name."""

from __future__ import annotations

from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.dataplane.userspace.proxy.control.names import ALL_SERVICES
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables.messages import Table

TABLE = ALL_SERVICES
"""A table is called as its proxy processes are."""


def table_of(family: Family, name: str = TABLE) -> Table:
    return Table(NFPROTO[family], name)
