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
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.support.netns import nf_tables
from tests.support.netns.namespace import Namespace, namespaces, run

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
_BEYOND_BY_IPTABLES = """
*nat
-A PREROUTING -i eth0 -d {ranges} -p tcp -j DNAT --to-destination {server}
-A PREROUTING -i eth0 -d {ranges} -p udp -j DNAT --to-destination {server}
-A PREROUTING -i eth0 -d {ranges} -p sctp -j DNAT --to-destination {server}
COMMIT
*raw
-A PREROUTING -s {ranges} -j CT --notrack
-A OUTPUT -d {ranges} -j CT --notrack
COMMIT
"""
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
        made = Topology(spaces)
        for space in spaces.values():
            space.sysctl(NEUTRAL)
        made["outside"].sysctl({"net.ipv4.conf.all.accept_local": "1"})
        made.node.ip(_links(made, {"uplink": "outside", "backbone": "node2"} | {f"veth-{pod}": pod for pod in PODS}))
        made["node2"].ip(_links(made, {f"veth-{pod}": pod for pod in PODS2}))
        # Addresses and routes of a device need its carrier, so last of those that have several.
        for pod in (*PODS, *PODS2):
            made[pod].ip(["link set eth0 up", *itertools.chain.from_iterable(_of_pod(pod, family) for family in FAMILIES)])
        made["outside"].ip(["link set eth0 up", *itertools.chain.from_iterable(map(_of_outside, FAMILIES))])
        made["node2"].ip(["link set eth0 up", *itertools.chain.from_iterable(map(_of_node2, FAMILIES))])
        made.node.ip(itertools.chain.from_iterable(map(_of_node, FAMILIES)))
        _serve_beyond(made["outside"])
        yield made


def _links(made: Topology, ends: Mapping[str, str]) -> Iterator[str]:
    """Veth pairs: the other end of each device is `eth0` there."""
    for device, label in ends.items():
        yield f"link add {device} type veth peer name eth0 netns {made[label].name}"
        yield f"link set {device} up"


def _of_node(family: int) -> Iterator[str]:
    wide, _, nodad = _words(family)
    yield f"addr add {NODE[family]}/{wide} dev uplink{nodad}"
    yield f"addr add {NODE_ALTERNATIVE[family]}/{wide} dev uplink{nodad}"
    yield f"addr add {NODE_LINK[family]}/{wide} dev backbone{nodad}"
    yield f"route add default via {OUTSIDE[family]} dev uplink src {NODE[family]}"
    yield f"route add {POD2_CIDR[family]} via {NODE2[family]} dev backbone"
    yield from _to_pods(PODS, POD_GATEWAY, family)


def _of_node2(family: int) -> Iterator[str]:
    wide, _, nodad = _words(family)
    yield f"addr add {NODE2[family]}/{wide} dev eth0{nodad}"
    yield f"route add default via {NODE_LINK[family]} dev eth0"
    yield from _to_pods(PODS2, POD2_GATEWAY, family)


def _to_pods(pods: Mapping[str, Pair], gateway: Pair, family: int) -> Iterator[str]:
    _, host, nodad = _words(family)
    for pod, address in pods.items():
        yield f"addr add {gateway[family]}/{host} dev veth-{pod}{nodad}"
        yield f"route add {address[family]}/{host} dev veth-{pod}"


def _of_pod(pod: str, family: int) -> Iterator[str]:
    _, host, nodad = _words(family)
    address, gateway = (PODS[pod], POD_GATEWAY) if pod in PODS else (PODS2[pod], POD2_GATEWAY)
    yield f"addr add {address[family]}/{host} dev eth0{nodad}"
    yield f"route add {gateway[family]}/{host} dev eth0"
    yield f"route add default via {gateway[family]} dev eth0"


def _of_outside(family: int) -> Iterator[str]:
    wide, host, nodad = _words(family)
    yield f"addr add {OUTSIDE[family]}/{wide} dev eth0{nodad}"
    yield f"addr add {OUTSIDE_OTHER[family]}/{host} dev lo{nodad}"
    yield f"addr add {BEYOND[family]}/{host} dev lo{nodad}"
    yield f"route add default via {NODE[family]} dev eth0"
    # The server's answers to clients of `outside` pass the node as well: it would take half a connection for an invalid one.
    yield f"route add default via {NODE[family]} dev eth0 table 53"


def _serve_beyond(outside: Namespace) -> None:
    """What the node lets pass unserved reaches the server, and its answers pass the node."""
    for family in FAMILIES:
        rules = (f"rule add pref 1 from {BEYOND[family]} lookup 53", "rule add pref 2 lookup local", "rule del pref 0")
        run("ip", f"-{family}", "-n", outside.name, "-batch", "-", stdin="\n".join(rules) + "\n")
    if nf_tables.is_there():
        outside.run("nft", "-f", "-", stdin="".join(_BEYOND.format(**_redirected(family)) for family in FAMILIES))
    else:
        for family, program in ((4, "iptables-legacy-restore"), (6, "ip6tables-legacy-restore")):
            outside.run(program, stdin=_BEYOND_BY_IPTABLES.format(**_redirected(family)))


def _redirected(family: int) -> Mapping[str, str]:
    """What the rules of `beyond` are filled with."""
    server = f"[{BEYOND.v6}]:{BEYOND_PORT}" if family == 6 else f"{BEYOND.v4}:{BEYOND_PORT}"
    return {"ip": "ip6" if family == 6 else "ip", "ranges": f"{PUBLIC_CIDR[family]},{SERVICE_CIDR[family]}", "server": server}


def _words(family: int) -> tuple[int, int, str]:
    """The prefix lengths of a link and of a host, and what keeps an IPv6 address from being tentative."""
    return (24, 32, "") if family == 4 else (64, 128, " nodad")
