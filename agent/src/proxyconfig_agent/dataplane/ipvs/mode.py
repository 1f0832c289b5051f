"""The ipvs mode, as the rest of the agent sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxyconfig_agent.dataplane.modes.modes import ModeSpec
from proxyconfig_agent.dataplane.port import Lifecycle, ModeInstance
from proxyconfig_agent.ingest.services import SCHEDULERS
from proxyconfig_agent.netlink.ipvs import listing
from proxyconfig_api.spec.sections import Ipvs as IpvsSpec
from proxyconfig_api.spec.sections import ProxyConfigSpec

NEEDED = {
    "net.ipv4.vs.conntrack": "1",
    "net.ipv4.vs.expire_nodest_conn": "1",
    "net.ipv4.vs.expire_quiescent_template": "1",
    "net.ipv4.ip_forward": "1",
}
"""kube-proxy's: without conntrack nothing is masqueraded; the other two free clients of endpoints that are gone."""
_NF_TABLES = (
    *("nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "nft_nat"),
    *("nft_fib_ipv4", "nft_fib_ipv6", "nft_reject_ipv4", "nft_reject_ipv6"),
)
_XTABLES = (
    *("ip_tables", "ip6_tables", "xt_addrtype", "xt_comment", "xt_conntrack", "xt_mark", "xt_MASQUERADE", "xt_nat", "xt_set", "xt_tcpudp"),
    *("ipt_REJECT", "ip6t_REJECT", "xt_sctp", "ip_set_hash_ip", "ip_set_hash_ipport", "ip_set_hash_ipportip"),
)
STRICT_ARP = {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"}
TIMEOUTS = ("ipvs.tcpTimeout", "ipvs.tcpFinTimeout", "ipvs.udpTimeout")
"""Of idle connections, in seconds, by their names in the spec: set and put back as sysctls are, which the kernel does not have for them."""


def _make() -> ModeInstance:
    from proxyconfig_agent.dataplane.combined import ipvs_rules  # noqa: PLC0415 - costs memory in other modes

    return ipvs_rules.made()


def _left_behind() -> Iterator[Lifecycle]:
    """A kernel without IPVS has nothing of the mode, which proves the removal; asking IPVS itself would load it."""
    if listing.PATH.exists():
        from proxyconfig_agent.dataplane.combined import ipvs_rules  # noqa: PLC0415 - costs memory where nothing of it is

        yield from ipvs_rules.left_behind()


def sysctls(spec: ProxyConfigSpec) -> Mapping[str, str]:
    section = spec.ipvs or IpvsSpec()
    timeouts = dict(zip(TIMEOUTS, (section.tcp_timeout, section.tcp_fin_timeout, section.udp_timeout), strict=True))
    asked = {name: str(int(seconds)) for name, seconds in timeouts.items() if seconds >= 1}
    return NEEDED | (STRICT_ARP if section.strict_arp else {}) | asked


def _modules_of(spec: ProxyConfigSpec) -> tuple[str, ...]:
    return (f"ip_vs_{(spec.ipvs or IpvsSpec()).scheduler}",)


SPEC = ModeSpec(
    make=_make,
    left_behind=_left_behind,
    # The kernel loads them itself when they are asked for, unless autoloading is off.
    modules=("ip_vs",),
    # Rules are of nf_tables, or of iptables; without those of one family the other is served; Services may name any scheduler.
    optional_modules=(
        *_NF_TABLES,
        *_XTABLES,
        *(f"ip_vs_{scheduler}" for scheduler in SCHEDULERS),
    ),
    modules_of=_modules_of,
    sysctls=sysctls,
    lasting_sysctls=(*NEEDED, *STRICT_ARP, *TIMEOUTS),
)
