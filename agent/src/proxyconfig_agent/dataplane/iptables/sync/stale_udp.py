"""Which UDP destinations the tables served that are no longer wanted: flows may still go on there, from before this agent. Pure."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.canonical import Normal
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.port import Destination
from proxyconfig_agent.ingest.model import Address, Family

_SERVICES, _NODE_PORTS = Chain(Table.NAT, chain_names.SERVICES), Chain(Table.NAT, chain_names.NODE_PORTS)
_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


def udp_destinations(stale: Iterable[tuple[Chain, Normal]], family: Family) -> Iterator[Destination]:
    """Those of rules that are about to go. A Service port that only lost its endpoints is among them, too."""
    for chain, rule in stale:
        options = dict(option.rpartition(" ")[::2] for option in rule)
        port = options.get("--dport", "")
        if options.get("-p") != "udp" or not port.isdecimal():
            continue
        if chain == _NODE_PORTS:
            yield Destination(family, None, int(port))
        elif chain == _SERVICES and (address := _packed(options.get("-d", ""), family)):
            yield Destination(family, address, int(port))


def _packed(text: str, family: Family) -> Address | None:
    try:
        return Address(socket.inet_pton(_AF[family], text))
    except OSError:
        return None
