"""UDP flows that were translated to this process: connection tracking goes on with each for as long as its client sends, whatever rules
there are by then."""

from __future__ import annotations

import socket
from collections.abc import Collection

from proxyconfig_agent.dataplane.userspace.proxy.sockets import FAMILIES
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.conntrack import entries, exchange
from proxyconfig_agent.netlink.conntrack.entries import End


def delete(family: Family, port: int, besides: Collection[bytes] = ()) -> None:
    """Those to this port of the node, but for these clients' (packed). The next datagram of each goes where rules lead then.

    Raises OSError."""
    number = FAMILIES[family]
    found = [entries.parse(each) for each in exchange.dump(number, entries.question_by_answers(socket.IPPROTO_UDP, port))]
    translated = [each for each in found if each.status & uapi.IPS_DST_NAT and each.reply.source.port == port]
    gone = [each for each in translated if each.protocol == socket.IPPROTO_UDP and _packed(each.reply.destination) not in besides]
    # The port of an endpoint elsewhere may have the same number.
    own = {address for address in {each.reply.source.address for each in gone} if _is_own(family, address)}
    exchange.commit(number, [entries.deletion(each) for each in gone if each.reply.source.address in own])


def _packed(end: End) -> bytes:
    return end.address + end.port.to_bytes(2)


def _is_own(family: Family, address: bytes) -> bool:
    """Whether the node has it."""
    with socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as bound:
        try:
            bound.bind((socket.inet_ntop(FAMILIES[family], address), 0))
        except OSError:
            return False
    return True
