"""The EndpointSlices of a cluster, by name and by the Service that their label names, which may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxyconfig_agent.ingest.model import EndpointSlice, ServiceName
from proxyconfig_client.watch.objects import Key


class EndpointSliceIndex:
    """Those of a Service are a tuple, which is replaced as a whole: most Services have one or two."""

    def __init__(self) -> None:
        self._known: dict[Key, EndpointSlice] = {}
        self._of: dict[ServiceName, tuple[EndpointSlice, ...]] = {}

    def get(self, key: Key) -> EndpointSlice | None:
        return self._known.get(key)

    @property
    def by_service(self) -> Mapping[ServiceName, tuple[EndpointSlice, ...]]:
        return self._of

    def of(self, name: ServiceName) -> tuple[EndpointSlice, ...]:
        return self._of.get(name, ())

    def keys(self) -> Iterable[Key]:
        return self._known.keys()

    def values(self) -> Iterable[EndpointSlice]:
        return self._known.values()

    def put(self, piece: EndpointSlice) -> tuple[ServiceName, ...]:
        """Take it in; the Services whose endpoints may be others because of it: none if it is known as it is."""
        key = Key(piece.service.namespace, piece.name)
        before = self._known.get(key)
        if before == piece:
            return ()
        self._known[key] = piece
        moved = before is not None and before.service != piece.service
        if before is not None and moved:
            self._without(before)
        others = tuple(other for other in self.of(piece.service) if other.name != piece.name)
        self._of[piece.service] = (*others, piece)
        return (before.service, piece.service) if before is not None and moved else (piece.service,)

    def drop(self, key: Key) -> ServiceName | None:
        """Forget it; whose it was, if it was known."""
        piece = self._known.pop(key, None)
        if piece is None:
            return None
        self._without(piece)
        return piece.service

    def _without(self, piece: EndpointSlice) -> None:
        rest = tuple(other for other in self.of(piece.service) if other.name != piece.name)
        if rest:
            self._of[piece.service] = rest
        else:
            self._of.pop(piece.service, None)
