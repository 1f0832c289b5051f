"""Which fields differ from one spec to another, and what a change of each does: for `status.plan` and `kubectl proxyconfig plan`.

Specs are mappings here, as `objects.revision.written` makes them: without what is at its default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from proxyconfig_api.spec import modes
from proxyconfig_api.values.disruption import Disruption

_DISRUPTIONS = {
    "nodeSelector": Disruption.MOVES_NODES,
    "priority": Disruption.MOVES_NODES,
    "agent": Disruption.RESTARTS_AGENTS,
    "mode": Disruption.RESTARTS_AGENTS,
    "kernel.modules": Disruption.RESTARTS_AGENTS,
    "masquerade": Disruption.NEW_CONNECTIONS,
    "localTraffic": Disruption.NEW_CONNECTIONS,
    "nodePorts": Disruption.NEW_CONNECTIONS,
    "ipvs.scheduler": Disruption.NEW_CONNECTIONS,
    "ipvs.tcpTimeout": Disruption.NEW_CONNECTIONS,
    "ipvs.tcpFinTimeout": Disruption.NEW_CONNECTIONS,
    "ipvs.udpTimeout": Disruption.NEW_CONNECTIONS,
    "userspace.udpIdleTimeout": Disruption.NEW_CONNECTIONS,
    "nftables.localhostNodePorts": Disruption.ENDS_CONNECTIONS,
}
"""Of fields and whole sections; of all others it is NONE."""


class FieldChange(Struct, frozen=True):
    """`before` and `after` as the API writes them; None: not set, and the default holds."""

    path: str
    before: object
    after: object
    disruption: Disruption


def disruption_of(path: str) -> Disruption:
    """Of a field by its path in the spec, such as `conntrack.min`."""
    names = path.split(".")
    sections = (".".join(names[:count]) for count in range(len(names), 0, -1))
    return next((_DISRUPTIONS[each] for each in sections if each in _DISRUPTIONS), Disruption.NONE)


def changes_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """By path, sorted."""
    return tuple(
        FieldChange(path, _at(before, path), _at(after, path), _disruption(path, before, after)) for path in changed(before, after)
    )


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of the fields that are in one alone or differ, sorted."""
    return tuple(sorted(_differences(before, after, "")))


def _disruption(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Disruption:
    """That of the field; agents that begin or end to observe have other pods where the mode does not need the same."""
    replaces_pods = path == "takeover" and modes.pod_needs_of(before) != modes.pod_needs_of(after)
    return Disruption.RESTARTS_AGENTS if replaces_pods else disruption_of(path)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], above: str) -> Iterator[str]:
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old or {}, Mapping) and isinstance(new or {}, Mapping):
            yield from _differences(old or {}, new or {}, f"{above}{name}.")
        else:
            yield above + name


def _at(spec: Mapping[str, Any], path: str) -> Any:
    """The value at a path; names of sysctls have dots in them."""
    value: Any = spec
    rest = path
    while rest and isinstance(value, Mapping):
        name = next((each for each in value if rest == each or rest.startswith(f"{each}.")), None)
        if name is None:
            return None
        value, rest = value[name], rest[len(name) + 1 :]
    return value if not rest else None
