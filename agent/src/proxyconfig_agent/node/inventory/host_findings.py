"""What an administrator should know of a node before and after an agent runs there, from an Inventory. Pure; one sentence each."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.inventory.inventory import Inventory

IPVS_LINK = "kube-ipvs0"
OURS = tuple(f"{family} proxyconfig{mode}" for mode in ("", "-ipvs", "-userspace") for family in ("ip", "ip6"))
THEIRS = ("ip kube-proxy", "ip6 kube-proxy")
ROUTE_LOCALNET = "net.ipv4.conf.all.route_localnet"
LEFT_SYSCTLS = (ROUTE_LOCALNET,)
FORWARDING = {Family.IPV4: "net.ipv4.ip_forward", Family.IPV6: "net.ipv6.conf.all.forwarding"}


def families(found: Inventory) -> frozenset[Family]:
    """Those of which an interface that is up has an address that other hosts may use."""
    links = (link for link in found.links if link.up and link.name not in ("lo", IPVS_LINK))
    return frozenset(Family(ipaddress.ip_interface(address).version) for link in links for address in link.addresses)


def obstacles(found: Inventory, sysctls: Mapping[str, str]) -> Iterator[str]:
    """What keeps Services from working on this node, whatever rules there are. `sysctls`: by name, without those that are missing."""
    if not any(link.name == "lo" and link.up for link in found.links):
        yield "interface lo is down: processes of this node reach no address of it; run `ip link set lo up`"
    if not families(found):
        yield "no interface that is up has an address"
    for family in sorted(families(found)):
        if family not in found.default_routes:
            yield (
                f"there is no default route in IPv{family.value}: processes of this node reach no ClusterIP, as the kernel looks for "
                "a route before it asks any rule; add one, or a route to the Service CIDRs"
            )
        if sysctls.get(FORWARDING[family]) == "0":
            yield f"{FORWARDING[family]} is 0: packets are not forwarded to pods; set it to 1, for example in spec.kernel.sysctls"


def left_by_us(found: Inventory) -> Iterator[str]:
    """Tables of any mode, by another way than the agent's own scan."""
    return (f"table {table}" for table in found.tables if table in OURS)


def loaded_by_us(modules: Sequence[str]) -> Iterator[str]:
    """Modules stay, as other programs may use them by now."""
    if modules:
        names = " ".join(modules)
        yield f"modules loaded by init containers of the agent stay: {names}; if nothing else uses them, run `modprobe -r {names}`"


def left_by_others(found: Inventory, sysctls: Mapping[str, str]) -> Iterator[str]:
    """What kube-proxy leaves behind and no agent removes. `sysctls`: LEFT_SYSCTLS, without those that are missing."""
    theirs = [f"link {IPVS_LINK} with {len(link.addresses)} addresses" for link in found.links if link.name == IPVS_LINK]
    theirs += [f"{found.virtual_servers} virtual servers of ipvs"] if found.virtual_servers else []
    sets = [name for name in found.sets if name.startswith("KUBE-")]
    theirs += [f"{len(sets)} ipsets named KUBE-*"] if sets else []
    theirs += [f"table {table}" for table in found.tables if table in THEIRS]
    yield from (f"{what}: made by kube-proxy, and removed by `kube-proxy --cleanup`" for what in theirs)
    if sysctls.get(ROUTE_LOCALNET) == "1":
        yield f"{ROUTE_LOCALNET} is 1: packets to loopback addresses are accepted from other hosts; set it to 0 unless it was so before"
