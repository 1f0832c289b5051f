"""The CONFIG option of the kernel that a module is built by, from the Makefiles of Linux 6.1. Pure."""

from __future__ import annotations

_NAMED = {
    "br_netfilter": "BRIDGE_NETFILTER",
    "ip6t_REJECT": "IP6_NF_TARGET_REJECT",
    "ipt_REJECT": "IP_NF_TARGET_REJECT",
    "nf_conntrack_netlink": "NF_CT_NETLINK",
    "nft_chain_nat": "NFT_NAT",
    "xt_connmark": "NETFILTER_XT_CONNMARK",
    "xt_mark": "NETFILTER_XT_MARK",
    "xt_nat": "NETFILTER_XT_NAT",
    "xt_set": "NETFILTER_XT_SET",
    "xt_tcpudp": "NETFILTER_XTABLES",
}
_SAME = ("dummy", "ip_set", "ip_vs", "nf_conntrack", "nf_nat", "nf_tables")
_SAME_PREFIXES = ("ip_set_", "ip_vs_", "nft_")


def option_of(module: str) -> str:
    """The option, such as CONFIG_IP_VS_RR; empty for a module that is not of the kernel's load balancing and packet filtering.

    ip_tables and ip6_tables have none here: since Linux 6.17 their options also stand for the tables of nf_tables."""
    if module in _NAMED:
        return f"CONFIG_{_NAMED[module]}"
    if module in _SAME or module.startswith(_SAME_PREFIXES):
        return f"CONFIG_{module.upper()}"
    if module.startswith("xt_"):
        kind = "TARGET" if module.removeprefix("xt_").isupper() else "MATCH"
        return f"CONFIG_NETFILTER_XT_{kind}_{module.removeprefix('xt_').upper()}"
    return ""
