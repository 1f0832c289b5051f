"""What the agent has programmed for one family, by Service port, and what a change makes of it. No I/O.

`plan` turns changes into what is to be sent, and changes nothing; `keep` after it is in effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from msgspec import Struct, field

from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.sync.batching import Ports
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError, refusal_of
from proxyconfig_agent.dataplane.tables.delta import Delta, delta
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.dataplane.tables.service_ports import References, ServicePorts
from proxyconfig_agent.dataplane.userspace.lower import NOTHING, Share, key_of, lower
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.dataplane.userspace.table.unserved import Unserved
from proxyconfig_agent.ingest.model import Address, Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName


class Plan(Struct):
    """One step of one family: what is sent, and what is known afterwards."""

    elements: Delta = field(default_factory=Delta)
    routes: dict[str, Route | None] = field(default_factory=dict)
    """By key; None: none any more."""
    before: dict[str, Route | None] = field(default_factory=dict)
    """The same routes as they are now."""
    ports: dict[PortName, Frontends | None] = field(default_factory=dict)
    cluster_ips: Counter[Address] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.elements) + len(self.routes)


class FamilyState:
    """Memory: a reference per Service port, and a number per ClusterIP."""

    def __init__(self, family: Family, settings: Settings) -> None:
        self.family, self._settings = family, settings
        self.ports = ServicePorts()
        self._cluster_ips = References()
        self.unserved = Unserved()

    def plan(self, wanted: Ports, without: Collection[ServiceName] = ()) -> Plan:
        """What these Service ports need. The Services `without` are to have nothing. Raises RefusedError."""
        plan = Plan(ports=self.ports.changed(wanted, without))
        for name, new in plan.ports.items():
            self._add(plan, self.ports.get(name), new)
        self._add_cluster_ips(plan)
        return plan

    def keep(self, plan: Plan) -> None:
        """It is in effect."""
        self.ports.keep(plan.ports)
        for name, new in plan.ports.items():
            self.unserved.note(name, new)
        self._cluster_ips.keep(plan.cluster_ips)

    def _add(self, plan: Plan, old: Frontends | None, new: Frontends | None) -> None:
        before, after = self._share(old), self._share(new)
        plan.elements.absorb(delta(before.elements, after.elements))
        if before.route != after.route and (known := old or new) is not None:
            key = key_of(known)
            plan.routes[key], plan.before[key] = after.route, before.route
        for share, by in ((after, 1), (before, -1)):
            if share.cluster_ip is not None:
                plan.cluster_ips[share.cluster_ip] += by

    def _share(self, frontends: Frontends | None) -> Share:
        if frontends is None:
            return NOTHING
        try:
            return lower(frontends, self._settings)
        except Exception as error:  # a fault of the agent, which concerns this Service alone
            raise RefusedError(refusal_of(frontends.name.service, error)) from error

    def _add_cluster_ips(self, plan: Plan) -> None:
        """With the first Service port that has one, and with the last."""
        came, went = self._cluster_ips.turned(plan.cluster_ips)
        plan.elements.absorb(Delta(_cluster_ips(went), _cluster_ips(came)))


def _cluster_ips(addresses: Sequence[Address]) -> Elements:
    return {address_sets.CLUSTER_IPS: {bytes(address): b"" for address in addresses}} if addresses else {}
