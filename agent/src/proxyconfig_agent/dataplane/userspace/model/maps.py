"""The maps that lead clients to the proxy, by the names that an administrator sees."""

from __future__ import annotations

from proxyconfig_agent.dataplane.tables.model import address_sets, datatypes
from proxyconfig_agent.dataplane.tables.model.datatypes import map_of
from proxyconfig_agent.dataplane.tables.model.ruleset import Container
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import userdata

SERVICES = "services"
NODEPORTS = "nodeports"

CLUSTER = "cluster"
LOCAL = "local"
EXTERNAL_LOCAL = "external-local"
SHORT_CIRCUIT = "short-circuit"
"""Chains that the maps lead to; `base_chains` says what they do."""

_VERDICT = (uapi.NFT_DATA_VERDICT, 16)


def containers(family: Family) -> dict[str, Container]:
    """All of them, for the table of `family`."""
    frontend, frontend_type = datatypes.frontend(family), datatypes.frontend_type(family)
    node_port, node_port_type = datatypes.NODE_PORT, datatypes.NODE_PORT_TYPE
    verdict_type = userdata.typeof_verdict()
    return {
        SERVICES: map_of(frontend, frontend_type, _VERDICT, verdict_type, "ClusterIP, externalIP, VIP -> who may reach which endpoints"),
        NODEPORTS: map_of(node_port, node_port_type, _VERDICT, verdict_type, "NodePort -> who may reach which endpoints"),
        **address_sets.containers(family),
    }
