"""A node under test and its surroundings, as routed namespaces in both families:

                     outside (clients 192.168.50.2, .51.2; the server beyond)
                        │ uplink, 192.168.50.0/24
    client ─┐       ┌───┴──┐ backbone, 192.168.52.0/24 ┌───────┐─ far1, far2 (backends)
    near1  ─┼─ veth ┤ node ├───────────────────────────┤ node2 │
    near2  ─┘       └──────┘                           └───────┘─ elsewhere (client)

Veth pairs are routed, not bridged: replies between pods of one node have to pass its NAT. The node's default route leads to
`outside`, so its own packets to Service addresses leave with its uplink address: what a backend sees tells whether they were
masqueraded. Nothing leads further.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.support.netns import nf_tables
from tests.support.netns.namespace import Namespace, namespaces

FAMILIES = (4, 6)


@dataclass(frozen=True, slots=True)
class Pair:
    """One thing's address in either family."""

    v4: str
    v6: str

    def __getitem__(self, family: int) -> str:
        return self.v4 if family == 4 else self.v6

    @property
    def both(self) -> tuple[str, str]:
        return (self.v4, self.v6)


NODE_NAME, NODE2_NAME = "node-under-test", "node-two"
NODE = Pair("192.168.50.1", "fd00:50::1")
NODE_ALTERNATIVE = Pair("192.168.50.9", "fd00:50::9")
NODE_LINK = Pair("192.168.52.1", "fd00:52::1")
NODE2 = Pair("192.168.52.2", "fd00:52::2")
OUTSIDE = Pair("192.168.50.2", "fd00:50::2")
OUTSIDE_OTHER = Pair("192.168.51.2", "fd00:51::2")
POD_GATEWAY = Pair("10.244.0.1", "fd00:244::1")
POD2_GATEWAY = Pair("10.244.1.1", "fd00:244:1::1")
PODS = {
    "client": Pair("10.244.0.10", "fd00:244::10"),
    "near1": Pair("10.244.0.11", "fd00:244::11"),
    "near2": Pair("10.244.0.12", "fd00:244::12"),
}
PODS2 = {
    "far1": Pair("10.244.1.11", "fd00:244:1::11"),
    "far2": Pair("10.244.1.12", "fd00:244:1::12"),
    "elsewhere": Pair("10.244.1.10", "fd00:244:1::10"),
}
NODE_GATEWAYS = (POD_GATEWAY, NODE_LINK)
"""What the node masquerades with, towards its pods and towards the other node."""
POD_CIDR = Pair("10.244.0.0/24", "fd00:244::/64")
POD2_CIDR = Pair("10.244.1.0/24", "fd00:244:1::/64")
BEYOND = Pair("192.168.53.2", "fd00:53::2")
BEYOND_PORT = 7777
"""Where packets to Service addresses arrive that no proxy serves: the network behind the node's default route."""
SERVICE_CIDR = Pair("10.96.0.0/16", "fd00:10:96::/112")
PUBLIC_CIDR = Pair("192.168.60.0/24", "fd00:60::/112")
"""Addresses of load balancers and externalIPs: routed to the node from outside, on no interface."""

NEUTRAL = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv6.conf.all.accept_dad": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    # No kind of ICMP message is limited: a refusal must be told, every time.
    "net.ipv4.icmp_ratemask": "0",
    "net.ipv6.icmp.ratemask": "\n",
}

_BEYOND = """
table {ip} beyond {{
    chain arriving {{
        type nat hook prerouting priority dstnat
        iifname eth0 {ip} daddr {{ {ranges} }} meta l4proto {{ tcp, udp, sctp }} dnat to {server}
    }}
    chain returning {{
        type filter hook prerouting priority raw
        {ip} saddr {{ {ranges} }} notrack
    }}
    chain leaving {{
        type filter hook output priority raw
        {ip} daddr {{ {ranges} }} notrack
    }}
}}
"""
"""What the node lets pass unserved is answered by the server `beyond`, also when it came from `outside` itself, whose
own connections to such addresses are not tracked."""
_BEYOND_BY_IPTABLES = (
    *(
        f"-t nat -A PREROUTING -i eth0 -d {{ranges}} -p {protocol} -j DNAT --to-destination {{server}}"
        for protocol in ("tcp", "udp", "sctp")
    ),
    "-t raw -A PREROUTING -s {ranges} -j CT --notrack",
    "-t raw -A OUTPUT -d {ranges} -j CT --notrack",
)
"""The same where the kernel has no nf_tables."""


@dataclass(frozen=True, slots=True)
class Topology:
    """The namespaces by label: node, node2, outside, and the pods."""

    spaces: Mapping[str, Namespace]

    def __getitem__(self, label: str) -> Namespace:
        return self.spaces[label]

    @property
    def node(self) -> Namespace:
        return self.spaces["node"]


@contextlib.contextmanager
def topology() -> Iterator[Topology]:
    """The whole picture, up; taken down at the end."""
    with namespaces("node", "node2", "outside", *PODS, *PODS2) as spaces:
        for space in spaces.values():
            space.sysctl(NEUTRAL)
        made = Topology(spaces)
        _join(made, "node", "uplink", "outside")
        _join(made, "node", "backbone", "node2")
        for pod in PODS:
            _join(made, "node", f"veth-{pod}", pod)
        for pod in PODS2:
            _join(made, "node2", f"veth-{pod}", pod)
        for family in FAMILIES:
            _address_nodes(made, family)
            _address_pods(made, family, "node", PODS, POD_GATEWAY)
            _address_pods(made, family, "node2", PODS2, POD2_GATEWAY)
        made["outside"].sysctl({"net.ipv4.conf.all.accept_local": "1"})
        yield made


def _join(made: Topology, left: str, device: str, right: str) -> None:
    made[left].ip(
        [
            f"link add {device} type veth peer name eth0 netns {made[right].name}",
            f"link set {device} up",
        ]
    )
    made[right].ip(["link set eth0 up"])


def _address_nodes(made: Topology, family: int) -> None:
    wide, host, nodad = _words(family)
    made.node.ip(
        [
            f"addr add {NODE[family]}/{wide} dev uplink{nodad}",
            f"addr add {NODE_ALTERNATIVE[family]}/{wide} dev uplink{nodad}",
            f"addr add {NODE_LINK[family]}/{wide} dev backbone{nodad}",
            f"route add default via {OUTSIDE[family]} dev uplink src {NODE[family]}",
            f"route add {POD2_CIDR[family]} via {NODE2[family]} dev backbone",
        ]
    )
    made["node2"].ip(
        [
            f"addr add {NODE2[family]}/{wide} dev eth0{nodad}",
            f"route add default via {NODE_LINK[family]} dev eth0",
        ]
    )
    made["outside"].ip(
        [
            f"addr add {OUTSIDE[family]}/{wide} dev eth0{nodad}",
            f"addr add {OUTSIDE_OTHER[family]}/{host} dev lo{nodad}",
            f"addr add {BEYOND[family]}/{host} dev lo{nodad}",
            f"route add default via {NODE[family]} dev eth0",
        ]
    )
    # The server's answers to clients of `outside` pass the node as well: it would take half a connection for an invalid one.
    made["outside"].ip([f"route add default via {NODE[family]} dev eth0 table 53"])
    for words in (f"add pref 1 from {BEYOND[family]} lookup 53", "add pref 2 lookup local", "del pref 0"):
        made["outside"].run("ip", f"-{family}", "rule", *words.split())
    server = f"[{BEYOND.v6}]:{BEYOND_PORT}" if family == 6 else f"{BEYOND.v4}:{BEYOND_PORT}"
    ranges = (PUBLIC_CIDR[family], SERVICE_CIDR[family])
    if nf_tables.is_there():
        rules = _BEYOND.format(ip="ip6" if family == 6 else "ip", ranges=", ".join(ranges), server=server)
        made["outside"].run("nft", "-f", "-", stdin=rules)
        return
    for rule in _BEYOND_BY_IPTABLES:
        program = "ip6tables-legacy" if family == 6 else "iptables-legacy"
        made["outside"].run(program, *rule.format(ranges=",".join(ranges), server=server).split())


def _address_pods(made: Topology, family: int, node: str, pods: Mapping[str, Pair], gateway: Pair) -> None:
    _, host, nodad = _words(family)
    for pod, address in pods.items():
        device = f"veth-{pod}"
        made[node].ip(
            [
                f"addr add {gateway[family]}/{host} dev {device}{nodad}",
                f"route add {address[family]}/{host} dev {device}",
            ]
        )
        made[pod].ip(
            [
                f"addr add {address[family]}/{host} dev eth0{nodad}",
                f"route add {gateway[family]}/{host} dev eth0",
                f"route add default via {gateway[family]} dev eth0",
            ]
        )


def _words(family: int) -> tuple[int, int, str]:
    """The prefix lengths of a link and of a host, and what keeps an IPv6 address from being tentative."""
    return (24, 32, "") if family == 4 else (64, 128, " nodad")
