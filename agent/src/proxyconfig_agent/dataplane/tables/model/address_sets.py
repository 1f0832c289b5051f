"""The sets of the addresses of Services, by the names that an administrator sees."""

from __future__ import annotations

from proxyconfig_agent.dataplane.tables.model import datatypes
from proxyconfig_agent.dataplane.tables.model.datatypes import ADDRESS, PORT, PROTOCOL, concatenation, set_of
from proxyconfig_agent.dataplane.tables.model.ruleset import Container
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import userdata

CLUSTER_IPS = "cluster-ips"
NODEPORT_IPS = "nodeport-ips"
HAIRPIN = "hairpin"
NO_ENDPOINTS = "no-endpoints"
NO_LOCAL = "no-local"
NO_ENDPOINTS_NODEPORTS = "no-endpoints-nodeports"
NO_LOCAL_NODEPORTS = "no-local-nodeports"
FIREWALL_IPS = "firewall-ips"
SOURCE_RANGES = "source-ranges"


def containers(family: Family) -> dict[str, Container]:
    """All of them, for the table of `family`."""
    size, kind = family.size, ADDRESS[family]
    address, frontend = datatypes.address(family), datatypes.frontend(family)
    pair = userdata.typeof_concatenation(datatypes.source_type(family), datatypes.destination_type(family))
    return {
        CLUSTER_IPS: set_of(address, "all ClusterIPs"),
        NODEPORT_IPS: set_of(address, "addresses that accept NodePort traffic"),
        HAIRPIN: set_of((concatenation(kind, kind), 2 * size), "local endpoint . itself", pair),
        NO_ENDPOINTS: set_of(frontend, "services without endpoints: reject"),
        NO_LOCAL: set_of(frontend, "services with policy Local without local endpoints: drop"),
        NO_ENDPOINTS_NODEPORTS: set_of(datatypes.NODE_PORT, "NodePorts without endpoints: reject"),
        NO_LOCAL_NODEPORTS: set_of(datatypes.NODE_PORT, "NodePorts with policy Local without local endpoints: drop"),
        FIREWALL_IPS: set_of(frontend, "VIPs with loadBalancerSourceRanges"),
        SOURCE_RANGES: Container(
            (concatenation(kind, PROTOCOL, PORT, kind), 2 * size + 8),
            flags=uapi.NFT_SET_INTERVAL | uapi.NFT_SET_CONCAT,
            fields=(size, 1, 2, size),
            userdata=userdata.set_userdata(userdata.MIXED_ORDER, b"", None, b"", "VIP . clients that it admits"),
        ),
    }
