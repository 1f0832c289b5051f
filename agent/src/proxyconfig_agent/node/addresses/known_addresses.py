"""The node's addresses, also while its Node does not report them. Pure.

Kubelets and cloud providers leave `status.addresses` empty, or with a host name only, for a while: NodePorts and health check node ports
would close on every node concerned. kube-proxy keeps the addresses that it has seen first, for as long as its process lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proxyconfig_agent.ingest.model import Address, Family, family_of, text_of
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.state.findings import Finding, Topic


class KnownAddresses:
    """The addresses of each family that were last in force."""

    def __init__(self) -> None:
        self._known: dict[Family, tuple[Address, ...]] = {}

    def in_force(self, reported: Sequence[Address], local: Iterable[LocalAddress]) -> tuple[tuple[Address, ...], tuple[Finding, ...]]:
        """The node's addresses, IPv4 first: those of its status, in their order; of a family that has none there that is on an interface,
        those that were in force before and still are on one. With a finding for each family of which that is so."""
        own = {each.address for each in local}
        addresses: list[Address] = []
        findings: list[Finding] = []
        for family in Family:
            of_status = tuple(address for address in reported if family_of(address) is family)
            kept = () if own.intersection(of_status) else tuple(address for address in self._known.get(family, ()) if address in own)
            if kept:
                findings.append(_kept(family, kept))
            elif of_status:
                self._known[family] = of_status
            addresses += kept or of_status
        return tuple(addresses), tuple(findings)


def _kept(family: Family, kept: Sequence[Address]) -> Finding:
    text = (
        f"the Node's status has no IPv{family.value} address of its interfaces: {', '.join(map(text_of, kept))} from before stays in "
        "force; look at the node's kubelet or cloud provider"
    )
    return Finding(Topic.AGENT, "NodeAddressesKept", text, harmless=True)
