"""This node and the cluster's Service ranges, of the API's objects. Pure; what cannot be parsed is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.addresses import parse_address, parse_network
from proxyconfig_agent.ingest.model import Network, Node, NodeName

ZONE = "topology.kubernetes.io/zone"
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"

T = TypeVar("T")


def node_of(source: apitypes.Node) -> Node:
    spec, status = source.spec or apitypes.NodeSpec(), source.status or apitypes.NodeStatus()
    by_type = [entry.address for kind in ("InternalIP", "ExternalIP") for entry in status.addresses or () if entry.type == kind]
    return Node(
        name=NodeName(source.metadata.name),
        zone=(source.metadata.labels or {}).get(ZONE, ""),
        addresses=_parsed(by_type, parse_address),
        pod_cidrs=_parsed(spec.pod_cidrs or ([spec.pod_cidr] if spec.pod_cidr else []), parse_network),
        deleted=source.metadata.deletion_timestamp is not None or any(taint.key == TO_BE_DELETED for taint in spec.taints or ()),
    )


def service_cidrs_of(sources: Iterable[apitypes.ServiceCIDR]) -> tuple[Network, ...]:
    """All ranges, each once, in an order that does not depend on the objects' order."""
    texts = [text for source in sources for text in (source.spec.cidrs if source.spec else None) or ()]
    return tuple(sorted(_parsed(texts, parse_network), key=lambda network: (len(network.base), network.base, network.prefix)))


def _parsed(texts: Iterable[str], parse: Callable[[str], T]) -> tuple[T, ...]:
    found: dict[T, None] = {}
    for text in texts:
        try:
            found[parse(text)] = None
        except ValueError:
            continue
    return tuple(found)
