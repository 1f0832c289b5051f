"""Who has which address and node port, where several Services ask for the same: one has it, the others are served on all they have else.

A cluster IP is its Service's, as the API server gave it; of the others the older Service has it (creationTimestamp, then name). So every
node decides alike, in every mode, before and after a restart. kube-proxy leaves it to chance: in iptables mode the first rule counts, in
the random order of a map; in nftables mode the last write. Pure.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

from msgspec.structs import replace

from proxyconfig_agent.ingest.model import Address, Family, Protocol, Service, ServiceName, family_of, text_of
from proxyconfig_agent.select.frontends import Frontends, PortName
from proxyconfig_agent.select.healthchecks import HealthCheck

Key = bytes
"""An address, a protocol and a port; or a family, a protocol and a node port, which is shorter."""

HEALTH_CHECK = "healthCheckNodePort"
"""Stands for the health check node port among the ports of a Service; no name of a port has capital letters."""

_NOBODY: frozenset[ServiceName] = frozenset()


class Claim(NamedTuple):
    """Claims sort by who comes first."""

    external: bool
    created: str
    service: ServiceName
    port: str
    protocol: Protocol

    @property
    def name(self) -> PortName:
        return PortName(self.service, self.port, self.protocol)


class AddressConflicts:
    """What all Services claim. Memory: an entry per address and port; more only for what is contested."""

    def __init__(self) -> None:
        self._sole: dict[Key, Claim] = {}
        self._contested: dict[Key, list[Claim]] = {}
        self._lost: dict[ServiceName, dict[tuple[PortName, Key], Claim]] = {}  # with who has it

    def change(self, old: Service | None, new: Service | None) -> set[ServiceName]:
        """A Service has come, has changed or has gone; returns the other Services that lose or win something by that."""
        before = dict(_claims_of(old)) if old else {}
        after = dict(_claims_of(new)) if new else {}
        affected: set[ServiceName] = set()
        for key, claim in before.items():
            if after.get(key) != claim:
                affected |= self._give_up(key, claim)
        for key, claim in after.items():
            if before.get(key) != claim:
                affected |= self._ask_for(key, claim)
        return affected - {each.name for each in (old, new) if each} if affected else affected

    def snapshot(self) -> AddressConflicts:
        """What `granted` and `sentences` say now, whatever changes later."""
        copy = AddressConflicts()
        copy._lost = {service: dict(lost) for service, lost in self._lost.items()}
        return copy

    def granted(self, frontends: tuple[Frontends, ...]) -> tuple[Frontends, ...]:
        """The same, the ports of one Service, without the addresses that others have."""
        lost = self._lost.get(frontends[0].name.service) if frontends else None
        return tuple(_without(one, lost) for one in frontends) if lost else frontends

    def answered(self, checks: Iterable[HealthCheck]) -> tuple[HealthCheck, ...]:
        """The same, without those whose node port is another Service's: its packets go to endpoints before any server sees them."""
        return tuple(check for check in checks if _health_check(check) not in self._lost.get(check.service, {}))

    def sentences(self, service: Service) -> list[str]:
        """What it does not get, for an Event on it."""
        return sorted(_sentence(service, port, key, owner) for (port, key), owner in self._lost.get(service.name, {}).items())

    def _ask_for(self, key: Key, claim: Claim) -> Set[ServiceName]:
        if key in self._contested:
            insort(self._contested[key], claim)
        elif (other := self._sole.setdefault(key, claim)) is claim:
            return _NOBODY
        else:
            del self._sole[key]
            self._contested[key] = sorted((other, claim))
        return self._decide(key)

    def _give_up(self, key: Key, claim: Claim) -> Set[ServiceName]:
        rivals = self._contested.get(key)
        if rivals is None:
            del self._sole[key]
            return _NOBODY
        rivals.remove(claim)
        self._forget_loss(key, claim)
        affected = self._decide(key)
        if len(rivals) == 1:
            self._sole[key] = rivals[0]
            del self._contested[key]
        return affected

    def _decide(self, key: Key) -> set[ServiceName]:
        """Let the first have it; returns everybody who asks for it."""
        owner, *others = self._contested[key]
        self._forget_loss(key, owner)
        for other in others:
            self._lost.setdefault(other.service, {})[other.name, key] = owner
        return {owner.service, *(other.service for other in others)}

    def _forget_loss(self, key: Key, claim: Claim) -> None:
        lost = self._lost.get(claim.service, {})
        lost.pop((claim.name, key), None)
        if not lost:
            self._lost.pop(claim.service, None)


def address_key(address: Address, protocol: Protocol, port: int) -> Key:
    return address + bytes((protocol,)) + port.to_bytes(2)


def node_port_key(family: Family, protocol: Protocol, port: int) -> Key:
    return bytes((family, protocol)) + port.to_bytes(2)


def _claims_of(service: Service) -> Iterator[tuple[Key, Claim]]:
    """Of one Service that claims a key twice (a cluster IP that is an external IP, too), the last one: the strongest."""
    if service.health_check_node_port:
        check = Claim(True, service.created, service.name, HEALTH_CHECK, Protocol.TCP)
        for cluster_ip in service.cluster_ips:
            yield node_port_key(family_of(cluster_ip), Protocol.TCP, service.health_check_node_port), check
    for port in reversed(service.ports):
        inner = Claim(False, service.created, service.name, port.name, port.protocol)
        if port.node_port or service.external_ips or service.load_balancer_ips:
            outer = inner._replace(external=True)
            for address in (*service.external_ips, *service.load_balancer_ips):
                yield address_key(address, port.protocol, port.port), outer
            if port.node_port:
                for cluster_ip in service.cluster_ips:
                    yield node_port_key(family_of(cluster_ip), port.protocol, port.node_port), outer
        for address in service.cluster_ips:
            yield address_key(address, port.protocol, port.port), inner


def _health_check(check: HealthCheck) -> tuple[PortName, Key]:
    return PortName(check.service, HEALTH_CHECK, Protocol.TCP), node_port_key(check.family, Protocol.TCP, check.port)


def _without(one: Frontends, lost: dict[tuple[PortName, Key], Claim]) -> Frontends:
    def has(address: Address) -> bool:
        return (one.name, address_key(address, one.name.protocol, one.port)) not in lost

    node_port_lost = (one.name, node_port_key(one.family, one.name.protocol, one.node_port)) in lost
    return replace(
        one,
        cluster_ip=one.cluster_ip if one.cluster_ip and has(one.cluster_ip) else None,
        external_ips=tuple(filter(has, one.external_ips)),
        load_balancer_ips=tuple(filter(has, one.load_balancer_ips)),
        node_port=0 if node_port_lost else one.node_port,
    )


def _sentence(service: Service, port: PortName, key: Key, owner: Claim) -> str:
    what, field = _what(service, key)
    why = "which is older" if owner.external else "whose cluster IP it is"
    has = f"the health checks of {owner.service}" if owner.port == HEALTH_CHECK else owner.name
    if port.port == HEALTH_CHECK:
        return f"spec.healthCheckNodePort: {what} belongs to {has}, {why}; health checks are not answered: choose another"
    return f"{field}: {what}/{port.protocol.name} of port {port} belongs to {has}, {why}; it is not served: choose another"


def _what(service: Service, key: Key) -> tuple[str, str]:
    port = int.from_bytes(key[-2:])
    if len(key) == 4:
        return f"node port {port}", "spec.ports"
    address = Address(key[:-3])
    fields = {"spec.clusterIPs": service.cluster_ips, "spec.externalIPs": service.external_ips}
    field = next((name for name, addresses in fields.items() if address in addresses), "status.loadBalancer.ingress")
    return f"{text_of(address)} port {port}", field
