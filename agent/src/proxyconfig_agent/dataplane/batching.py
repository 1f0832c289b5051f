"""Changes of Service ports as every mode needs them: of each Service port the latest. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import PortName


def latest(changes: Iterable[Change]) -> list[Change]:
    """One change per Service port and family: from what it was before the first change to what it is after the last."""
    found: dict[tuple[Family, PortName], Change] = {}
    for change in changes:
        if known := change.new or change.old:
            key = known.family, known.name
            found[key] = Change(found[key].old if key in found else change.old, change.new)
    return list(found.values())
