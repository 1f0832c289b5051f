"""Whether this kernel has nf_tables."""

from __future__ import annotations

import contextlib
from functools import cache

from proxyconfig_agent.netlink.nftables.connection import Connection


@cache
def is_there() -> bool:
    """As a module or built in."""
    with contextlib.closing(Connection()) as connection:
        return connection.has_nf_tables()
