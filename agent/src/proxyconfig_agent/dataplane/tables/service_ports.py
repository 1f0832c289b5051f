"""What is in effect of one family's Service ports, and how many of them need what several can have in common. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from proxyconfig_agent.dataplane.sync.batching import Ports
from proxyconfig_agent.ingest.model import Address, ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName


class ServicePorts(dict[PortName, Frontends]):
    """Those in effect."""

    def changed(self, wanted: Ports, without: Collection[ServiceName] = ()) -> dict[PortName, Frontends | None]:
        """The `wanted` Service ports that differ; the Services `without` are to have none."""
        ports = dict(wanted)
        if without:
            ports |= {name: None for name in (*self, *ports) if name.service in without}
        return {name: new for name, new in ports.items() if self.get(name) != new}

    def keep(self, changed: Ports) -> None:
        """These are in effect now."""
        for name, new in changed.items():
            if new is None:
                self.pop(name, None)
            else:
                self[name] = new


class References(Counter[Address]):
    """How many Service ports need an address. A change is the number that comes, or with a minus goes, by address."""

    def turned(self, change: Counter[Address]) -> tuple[list[Address], list[Address]]:
        """The addresses with their first reference, and those without their last, sorted."""
        touched = sorted(address for address, by in change.items() if by)
        came = [address for address in touched if not self[address] and self[address] + change[address] > 0]
        went = [address for address in touched if self[address] > 0 and self[address] + change[address] <= 0]
        return came, went

    def keep(self, change: Counter[Address]) -> None:
        """It is in effect now."""
        self.update(change)
        for address in change:
            if not self[address]:
                del self[address]
