"""The Services that are not served, whole or in part, and why: for what they are, or because this node's data plane refused them."""

from __future__ import annotations

from collections.abc import Collection, KeysView

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName


class Rejections:
    """As of the last sync of each Service."""

    def __init__(self) -> None:
        self._everywhere: dict[ServiceName, Refusal] = {}
        self._here: dict[ServiceName, Refusal] = {}

    def put(self, name: ServiceName, sentences: tuple[str, ...], refusal: Refusal | None = None) -> None:
        """After a sync: `sentences` say what of the Service cannot be used anywhere, `refusal` why this node does not serve it."""
        _put(self._everywhere, name, Refusal(name, "; ".join(sentences), everywhere=True) if sentences else None)
        _put(self._here, name, refusal)

    def retain(self, names: Collection[ServiceName]) -> None:
        """There are no others."""
        for name in (self._everywhere.keys() | self._here.keys()) - set(names):
            self.put(name, ())

    def here(self, name: ServiceName) -> Refusal | None:
        """Why this node does not serve it."""
        return self._here.get(name)

    def refused_here(self) -> KeysView[ServiceName]:
        """The Services that this node does not serve."""
        return self._here.keys()

    def all(self) -> tuple[Refusal, ...]:
        """Sorted by Service; this node's own reason first."""
        return tuple(sorted((*self._here.values(), *self._everywhere.values()), key=lambda refusal: refusal.service))


def _put(table: dict[ServiceName, Refusal], name: ServiceName, refusal: Refusal | None) -> None:
    if refusal is None:
        table.pop(name, None)
    else:
        table[name] = refusal
