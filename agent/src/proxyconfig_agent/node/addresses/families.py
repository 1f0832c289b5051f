"""What it means for this node that its mode cannot serve an IP family: nothing, or that Services are not reachable. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proxyconfig_agent.ingest.model import Family, Network, Node, family_of, text_of
from proxyconfig_agent.state.findings import Finding, Topic

_REASON = "FamilyNotServed"


def unserved_families(unserved: Mapping[Family, str], node: Node, service_cidrs: Sequence[Network]) -> tuple[Finding, ...]:
    """A finding for each family that is `unserved` (what the kernel lacks, by family); harmless where the node does not use the family."""
    return tuple(_findings(unserved, node, service_cidrs))


def _findings(unserved: Mapping[Family, str], node: Node, service_cidrs: Sequence[Network]) -> Iterator[Finding]:
    for family, lack in sorted(unserved.items()):
        use = _use(family, node, service_cidrs)
        if use:
            words = f"IPv{family.value} Services are not served on this node, which has {use}: {lack}"
            yield Finding(
                Topic.AGENT,
                _REASON,
                f"{words}; load the module or use a kernel that has it; each full sync probes again (spec.sync.fullSyncPeriod)",
            )
        else:
            yield Finding(Topic.TRAFFIC, _REASON, f"IPv{family.value} is not served, and this node does not use it: {lack}", harmless=True)


def _use(family: Family, node: Node, service_cidrs: Sequence[Network]) -> str:
    """What of the family the node has, in words; empty if nothing."""
    if cidr := _first(family, service_cidrs):
        return f"the ServiceCIDR {cidr}"
    if cidr := _first(family, node.pod_cidrs):
        return f"the podCIDR {cidr}"
    address = next((address for address in node.addresses if family_of(address) is family), None)
    return f"the address {text_of(address)}" if address else ""


def _first(family: Family, networks: Sequence[Network]) -> Network | None:
    return next((network for network in networks if family_of(network.base) is family), None)
