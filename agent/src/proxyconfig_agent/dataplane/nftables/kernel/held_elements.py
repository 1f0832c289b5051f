"""The elements that the kernel's table holds, packed, and how far they are from what it should hold. `dump` makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.service_mark import id_in
from proxyconfig_agent.dataplane.tables.delta import Delta
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements

BY_ID = frozenset((sets.ENDPOINTS, sets.STICKY_LISTS, sets.STICKY_ENDPOINTS, sets.STICKY_LOCAL_ENDPOINTS))
"""The large sets. Their keys begin with a service word, and their elements belong to the Service port with that id alone."""


class HeldElements:
    """The elements of a table, packed. What is asked for by `difference` is crossed off; `rest` is what nobody asked for."""

    def __init__(self) -> None:
        self._plain: Elements = {}
        self._packed: dict[str, dict[int, bytearray]] = {}
        self._lengths: dict[str, tuple[int, int]] = {}

    def fill(self, name: str, elements: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the elements of one set in."""
        plain = self._plain.setdefault(name, {})
        if name not in BY_ID:
            plain.update(elements)
            return
        packed = self._packed.setdefault(name, {})
        for key, tail in elements:
            lengths = self._lengths.setdefault(name, (len(key), len(tail)))
            if len(tail) != lengths[1]:
                plain[key] = tail
                continue
            identity = id_in(key)
            if identity in packed:
                packed[identity] += key + tail
            else:
                packed[identity] = bytearray(key + tail)

    def items(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """The elements of a set that are not crossed off."""
        yield from self._plain.get(name, {}).items()
        for identity in self._packed.get(name, {}):
            yield from self._unpacked(name, identity)

    def of(self, name: str, identity: int) -> dict[bytes, bytes]:
        """The elements of a large set that belong to one id."""
        return dict(self._unpacked(name, identity))

    def difference(self, wanted: Elements) -> Delta:
        """What makes `wanted` of these. In the large sets it asks for all elements of an id at once."""
        difference = Delta()
        for name, elements in wanted.items():
            held = self._plain.setdefault(name, {})
            if name in BY_ID and elements:
                self._unpack(name, id_in(next(iter(elements))))
            deleted, added = {}, {}
            for key, tail in elements.items():
                have = held.pop(key, None)
                if have is None:
                    added[key] = tail
                elif have != tail:
                    deleted[key], added[key] = have, tail
            if deleted:
                difference.deleted[name] = deleted
            if added:
                difference.added[name] = added
        return difference

    def rest(self) -> Elements:
        """Everything that is not crossed off."""
        for name, packed in self._packed.items():
            for identity in list(packed):
                self._unpack(name, identity)
        return {name: elements for name, elements in self._plain.items() if elements}

    def _unpack(self, name: str, identity: int) -> None:
        self._plain[name].update(self._unpacked(name, identity))
        self._packed.get(name, {}).pop(identity, None)

    def _unpacked(self, name: str, identity: int) -> Iterator[tuple[bytes, bytes]]:
        octets = self._packed.get(name, {}).get(identity)
        if not octets:
            return
        key, tail = self._lengths[name]
        for at in range(0, len(octets), key + tail):
            yield bytes(octets[at : at + key]), bytes(octets[at + key : at + key + tail])
