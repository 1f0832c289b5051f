"""Who owns which address: two Services cannot both be served on one, so the first keeps it and the other is refused."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.ingest.values import Address, ServiceName, text_of
from proxyconfig_agent.nftables.journal import Journal
from proxyconfig_agent.nftables.lower import protocol_and_port
from proxyconfig_agent.select.frontends import Frontends, PortName


class RefusedError(Exception):
    """A Service cannot be programmed as it is; the message is a sentence for an Event on it."""

    def __init__(self, service: ServiceName, reason: str) -> None:
        super().__init__(reason)
        self.service = service
        self.reason = reason


class Claims:
    """The owner of each (address, protocol, port) and of each (protocol, NodePort)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._owners: dict[bytes, PortName] = {}

    def release(self, old: Frontends, new: Frontends | None) -> None:
        """Give back what `new` no longer has."""
        kept = {key for key, _ in claimed(new)} if new else set()
        for key, _ in claimed(old):
            if key not in kept and self._owners.get(key) == old.name:
                self._journal.drop(self._owners, key)

    def take(self, frontends: Frontends) -> None:
        """Own all its addresses. Raises RefusedError naming the owner of one that is taken."""
        for key, address in claimed(frontends):
            owner = self._owners.get(key)
            if owner is None:
                self._journal.put(self._owners, key, frontends.name)
            elif owner != frontends.name:
                raise RefusedError(frontends.name.service, _reason(frontends, address, owner))

    def conflict(self, frontends: Frontends) -> bool:
        """Whether somebody else owns one of its addresses."""
        return any(self._owners.get(key, frontends.name) != frontends.name for key, _ in claimed(frontends))


def same_addresses(one: Frontends, other: Frontends) -> bool:
    return (
        one.cluster_ip == other.cluster_ip
        and one.node_port == other.node_port
        and one.port == other.port
        and one.external_ips == other.external_ips
        and one.load_balancer_ips == other.load_balancer_ips
    )


def claimed(frontends: Frontends) -> Iterator[tuple[bytes, Address | None]]:
    """The keys of its addresses in the shared sets, each with its address; None for the NodePort."""
    protocol = frontends.name.protocol
    behind = protocol_and_port(protocol, frontends.port)
    for address in (frontends.cluster_ip, *frontends.external_ips, *frontends.load_balancer_ips):
        if address is not None:
            yield address + behind, address
    if frontends.node_port:
        yield protocol_and_port(protocol, frontends.node_port), None


def _reason(frontends: Frontends, address: Address | None, owner: PortName) -> str:
    protocol = frontends.name.protocol.name
    if address is None:
        what = f"NodePort {frontends.node_port}/{protocol}"
    else:
        what = f"address {text_of(address)} port {frontends.port}/{protocol}"
    return f"{what} of port {frontends.name} belongs to {owner}, which had it first; choose another for one of them"
