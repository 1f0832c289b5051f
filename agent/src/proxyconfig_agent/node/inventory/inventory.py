"""What there is in a network namespace, as a value: links, routes, nftables tables, virtual servers, sets."""

from __future__ import annotations

from msgspec import Struct

from proxyconfig_agent.ingest.model import Family


class Link(Struct, frozen=True):
    name: str
    up: bool
    addresses: tuple[str, ...] = ()
    """In CIDR notation; of global scope only, those that hosts elsewhere may use."""


class Inventory(Struct, frozen=True):
    links: tuple[Link, ...] = ()
    default_routes: frozenset[Family] = frozenset()
    tables: tuple[str, ...] = ()
    """Of nftables, by family and name as nft prints them."""
    virtual_servers: int = 0
    """Of ipvs."""
    sets: tuple[str, ...] = ()
    """Of ipset, by name."""
