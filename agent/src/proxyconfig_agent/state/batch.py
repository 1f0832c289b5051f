"""The input of a sync: the desired state of each Service beside the programmed one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct, field

from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName
from proxyconfig_agent.state.programmed import Programmed, ServicePorts
from proxyconfig_agent.state.view import ClusterView, Selected


class Batch(Struct, frozen=True):
    """What some Services are to have, and the changes that lead there."""

    wanted: Mapping[ServiceName, Selected]
    changes: tuple[Change, ...]


class Everything(Struct, frozen=True):
    """What all Services are to have; `kept` are those that stay as they are programmed."""

    wanted: Mapping[ServiceName, Selected]
    kept: Mapping[ServiceName, ServicePorts] = field(default_factory=dict)

    def ports(self) -> list[Frontends]:
        """In the order of the Services."""
        return [*(port for one in self.wanted.values() for port in one.ports), *(port for one in self.kept.values() for port in one)]


def changes_of(names: Iterable[ServiceName], view: ClusterView, programmed: Programmed) -> Batch:
    """What these Services need."""
    wanted = {name: view.select(name) for name in names}
    return Batch(wanted, tuple(change for name, one in wanted.items() for change in _differences(programmed.of(name), one.ports)))


def everything(view: ClusterView, programmed: Programmed, keep: Collection[ServiceName] = ()) -> Everything:
    """What every Service needs, but for those to `keep`: their changes wait, and what they have stays.

    Ports that are programmed already come as the same objects, so that a full sync holds nothing twice."""
    wanted = {name: _known(view.select(name), programmed.of(name)) for name in view.names() if name not in keep}
    return Everything(wanted, {name: ports for name in keep if (ports := programmed.of(name))})


def _known(selected: Selected, programmed: ServicePorts) -> Selected:
    if selected.ports != programmed:
        return selected
    return Selected(programmed, selected.health_checks, selected.rejected, selected.refusal)


def _differences(before: ServicePorts, wanted: ServicePorts) -> list[Change]:
    old: dict[tuple[PortName, Family], Frontends] = {(port.name, port.family): port for port in before}
    changes = []
    for new in wanted:
        was = old.pop((new.name, new.family), None)
        if was != new:
            changes.append(Change(was, new))
    return [Change(gone, None) for gone in old.values()] + changes
