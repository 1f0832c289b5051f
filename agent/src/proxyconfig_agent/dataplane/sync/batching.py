"""Changes of Service ports in portions: what has to go in one transaction does, and a flood of them does not take memory for all at once.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName, count

Ports = Mapping[PortName, Frontends | None]
"""What Service ports of one family are to be; None: gone."""

BATCH = 500
"""Changes of one transaction, roughly."""


def latest(changes: Iterable[Change]) -> list[Change]:
    """One change per Service port and family: from what it was before the first change to what it is after the last."""
    found: dict[tuple[Family, PortName], Change] = {}
    for change in changes:
        if known := change.new or change.old:
            key = known.family, known.name
            found[key] = Change(found[key].old if key in found else change.old, change.new)
    return list(found.values())


def batches(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Transactions, one if there are not very many changes. Those that take or give up addresses are in the first together, since an
    address may go from one Service to another. The last change of a port counts."""
    each = latest(changes)
    moving = [change for change in each if _moves(change)]
    staying = [change for change in each if not _moves(change)]
    first = max(0, BATCH - len(moving))
    if moving or staying:
        yield moving + staying[:first]
    for at in range(first, len(staying), BATCH):
        yield staying[at : at + BATCH]


def size_of(changes: Iterable[Change]) -> int:
    """Service ports and endpoints: what a change costs grows with both."""
    return sum(1 + max(_endpoints(change.old), _endpoints(change.new)) for change in changes)


def by_family(changes: Iterable[Change]) -> dict[Family, dict[PortName, Frontends | None]]:
    wanted: dict[Family, dict[PortName, Frontends | None]] = {}
    for change in changes:
        if known := change.new or change.old:
            wanted.setdefault(known.family, {})[known.name] = change.new
    return wanted


def by_service(wanted: Mapping[Family, Ports]) -> dict[ServiceName, dict[Family, dict[PortName, Frontends | None]]]:
    services: dict[ServiceName, dict[Family, dict[PortName, Frontends | None]]] = {}
    for family, ports in wanted.items():
        for name, new in ports.items():
            services.setdefault(name.service, {}).setdefault(family, {})[name] = new
    return services


def _endpoints(frontends: Frontends | None) -> int:
    return count(frontends.cluster or frontends.local, frontends.family) if frontends is not None else 0


def _moves(change: Change) -> bool:
    return change.old is None or change.new is None or not _same_addresses(change.old, change.new)


def _same_addresses(one: Frontends, other: Frontends) -> bool:
    return (
        one.cluster_ip == other.cluster_ip
        and one.node_port == other.node_port
        and one.port == other.port
        and one.external_ips == other.external_ips
        and one.load_balancer_ips == other.load_balancer_ips
    )
