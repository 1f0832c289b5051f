"""The maps that lead external addresses and NodePorts to virtual servers, by the names that an administrator sees."""

from __future__ import annotations

from proxyconfig_agent.dataplane.tables.model import address_sets, datatypes
from proxyconfig_agent.dataplane.tables.model.datatypes import map_of, set_of
from proxyconfig_agent.dataplane.tables.model.ruleset import Container
from proxyconfig_agent.ingest.model import Family

CLUSTER_PORTS = "cluster-ports"
PRIVATE_IPS = "private-ips"
DRAINING_IPS = "draining-ips"
SERVICES = "services"
LOCAL_SERVICES = "local-services"
SHORT_CIRCUIT = "short-circuit"
NODEPORTS = "nodeports"
LOCAL_NODEPORTS = "local-nodeports"
SHORT_CIRCUIT_NODEPORTS = "short-circuit-nodeports"


def containers(family: Family) -> dict[str, Container]:
    """All of them, for the table of `family`."""
    frontend, frontend_type = datatypes.frontend(family), datatypes.frontend_type(family)
    node_port, node_port_type = datatypes.NODE_PORT, datatypes.NODE_PORT_TYPE
    server, server_type = datatypes.backend(family), datatypes.backend_type(family)

    def by_address(words: str) -> Container:
        return map_of(frontend, frontend_type, server, server_type, words)

    def by_node_port(words: str) -> Container:
        return map_of(node_port, node_port_type, server, server_type, words)

    return {
        CLUSTER_PORTS: set_of(frontend, "ClusterIPs and ports with a virtual server"),
        PRIVATE_IPS: set_of(datatypes.address(family), "virtual servers that only these maps lead to"),
        DRAINING_IPS: set_of(datatypes.address(family), "ClusterIPs that no Service has any more, with connections"),
        SERVICES: by_address("externalIP, VIP -> virtual server"),
        LOCAL_SERVICES: by_address("policy Local: externalIP, VIP -> virtual server of local endpoints"),
        SHORT_CIRCUIT: by_address("policy Local, for pods and processes of this node -> virtual server of all endpoints"),
        NODEPORTS: by_node_port("NodePort -> virtual server"),
        LOCAL_NODEPORTS: by_node_port("policy Local: NodePort -> virtual server of local endpoints"),
        SHORT_CIRCUIT_NODEPORTS: by_node_port("policy Local, for pods and processes of this node -> virtual server of all endpoints"),
        **address_sets.containers(family),
    }
