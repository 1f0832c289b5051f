"""What Linux 6.1 writes into /proc/net/ip_vs."""

from __future__ import annotations

import socket

from proxyconfig_agent.netlink.ipvs import listing
from proxyconfig_agent.netlink.ipvs.messages import Destination, Load, VirtualServer

TEXT = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  [fd00:0096:0000:0000:0000:0000:0000:0010]:0035 mh persistent 1080000 80000000
  -> [fd00:0244:0001:0000:0000:0000:0000:0011]:14E9      Masq    0      0          0
SCTP  0A60000B:270F wlc
FWM  00000007 rr
  -> 0AF4010B:0050      Masq    1      0          0
TCP  0A60000A:0050 rr ops
  -> 0AF4010C:1F90      Route   2147483647 12345678 87654321
  -> 0AF4010B:1F90      Masq    1      3          1
"""


def test_the_listing_has_every_virtual_server_with_an_address() -> None:
    pod6 = Destination(socket.inet_pton(socket.AF_INET6, "fd00:244:1::11"), 5353)
    assert listing.parse(TEXT.splitlines()) == {
        VirtualServer(socket.IPPROTO_UDP, socket.inet_pton(socket.AF_INET6, "fd00:96::10"), 53): {pod6: Load(0, 0, 0)},
        VirtualServer(socket.IPPROTO_SCTP, socket.inet_aton("10.96.0.11"), 9999): {},
        VirtualServer(socket.IPPROTO_TCP, socket.inet_aton("10.96.0.10"), 80): {
            Destination(socket.inet_aton("10.244.1.12"), 8080): Load(2147483647, 12345678, 87654321),
            Destination(socket.inet_aton("10.244.1.11"), 8080): Load(1, 3, 1),
        },
    }


def test_a_listing_of_nothing_is_empty() -> None:
    assert listing.parse(TEXT.splitlines()[:3]) == {}


CONNECTIONS = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0AF4000A 9C40 0A600014 0050 0AF4000B 1F90 ESTABLISHED     899
UDP fd00:0244:0000:0000:0000:0000:0000:000a 9C41 fd00:0096:0000:0000:0000:0000:0000:0010 0035 fd00:0244:0000:0000:0000:0000:0000:000b 14E9 UDP             298
IP  0AF4000A 0000 00000007 0000 0AF4000B 1F90 NONE             50
"""  # noqa: E501 - the kernel's own


def test_connections_have_client_and_virtual_server() -> None:
    assert list(listing.parse_connections(CONNECTIONS.splitlines())) == [
        (socket.IPPROTO_TCP, (socket.inet_aton("10.244.0.10"), 40000), (socket.inet_aton("10.96.0.20"), 80)),
        (
            socket.IPPROTO_UDP,
            (socket.inet_pton(socket.AF_INET6, "fd00:244::a"), 40001),
            (socket.inet_pton(socket.AF_INET6, "fd00:96::10"), 53),
        ),
    ]
