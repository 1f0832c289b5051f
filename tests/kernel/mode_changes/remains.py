"""What there is of each mode on a node, by the kernel's and other programs' words: none of the agent's own code reads it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.netns.namespace import Namespace

OF_IPVS = dict.fromkeys(("net.ipv4.vs.conntrack", "net.ipv4.vs.expire_nodest_conn", "net.ipv4.vs.expire_quiescent_template"), "1")
SYSCTLS = (
    *OF_IPVS,
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv4.conf.all.arp_ignore",
    "net.ipv4.conf.all.arp_announce",
)
_TABLES = {"nftables": "proxyconfig", "ipvs": "proxyconfig-ipvs", "userspace": "proxyconfig-userspace"}
_SAVES = [f"{program}-{back_end}-save" for program in ("iptables", "ip6tables") for back_end in ("nft", "legacy")]


def sysctls(node: Namespace) -> Mapping[str, str]:
    """Of those that modes set, what the kernel has."""
    return node.call(_sysctls)


def of_mode(node: Namespace, mode: str) -> list[str]:
    """Tables, chains, sets, virtual servers, routes and processes; empty if nothing is left."""
    return sorted({"nftables": _tables, "iptables": _chains, "ipvs": _ipvs, "userspace": _userspace}[mode](node, mode))


def _tables(node: Namespace, mode: str) -> Iterator[str]:
    """With chains, sets and maps, which cannot be without their table."""
    wanted = _TABLES[mode]
    return (line for line in node.run("nft", "list", "tables").splitlines() if line.split()[-1] == wanted)


def _chains(node: Namespace, _: str) -> Iterator[str]:
    for program in filter(shutil.which, _SAVES):
        yield from (f"{program}: {line}" for line in node.run(program).splitlines() if "KUBE-" in line)


def _ipvs(node: Namespace, mode: str) -> Iterator[str]:
    yield from _tables(node, mode)
    yield from (line for line in node.call(_virtual_servers) if line.split()[0] in ("TCP", "UDP", "SCTP", "FWM", "->"))
    for family in (4, 6):
        yield from node.run("ip", f"-{family}", "route", "show", "table", "all", "proto", "88").splitlines()
    yield from (line for line in node.run("ip", "-o", "link").splitlines() if "kube-ipvs0" in line)


def _userspace(node: Namespace, mode: str) -> Iterator[str]:
    yield from _tables(node, mode)
    yield from (line for line in node.call(_unix_sockets) if "proxyconfig-userspace" in line)


def _virtual_servers() -> list[str]:
    path = Path("/proc/thread-self/net/ip_vs")
    return path.read_text().splitlines()[3:] if path.exists() else []


def _unix_sockets() -> list[str]:
    return Path("/proc/thread-self/net/unix").read_text().splitlines()


def _sysctls() -> dict[str, str]:
    paths = {name: Path("/proc/sys", *name.split(".")) for name in SYSCTLS}
    return {name: path.read_text().strip() for name, path in paths.items() if path.exists()}
