"""The tables of this mode: one for each family, with one name."""

from __future__ import annotations

from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables.messages import Table

TABLE = "proxyconfig-userspace"


def table_of(family: Family) -> Table:
    return Table(NFPROTO[family], TABLE)
