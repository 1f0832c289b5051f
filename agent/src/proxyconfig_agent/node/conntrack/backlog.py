"""What has changed since the flows were last looked at. Pure; `cleaner` fills it after each commit and works it off.

A clean-up may take seconds while commits go on, and may fail: what was served meanwhile adds up here, each place once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from proxyconfig_agent.dataplane.port import Change, Destination
from proxyconfig_agent.ingest.model import Address, Family
from proxyconfig_agent.node.conntrack.stale import Place, place_of
from proxyconfig_agent.select.frontends import Frontends, PortName

REMEMBERED = 1000
"""Former places and destinations that are kept after a failure; where conntrack can never be read, nothing grows."""

Key = tuple[PortName, Family]
Served = dict[Key, Frontends]
"""The UDP ports that are served."""


class CleanUp(Struct, frozen=True):
    """Flows to look for: those of ports that are served, or were, and of destinations that were served before this process."""

    served: tuple[Frontends, ...]
    former: tuple[Frontends, ...]
    abandoned: tuple[Destination, ...]
    node_ports: tuple[tuple[Address, ...], ...]
    """`Settings.node_port_addresses` of before."""
    complete: bool
    """`served` is everything that is served."""

    def changes(self) -> Iterator[Change]:
        yield from (Change(old, None) for old in self.former)
        yield from (Change(None, new) for new in self.served)


class Backlog:
    def __init__(self) -> None:
        self._concerned: set[Key] = set()
        self._former: dict[tuple[Key, Place], Frontends] = {}
        self._abandoned: dict[Destination, None] = {}
        self._node_ports: dict[tuple[Address, ...], None] = {}
        self._complete = False

    def note(self, change: Change) -> None:
        """A UDP port has changed in a way that can leave stale flows."""
        for side in filter(None, (change.old, change.new)):
            self._concerned.add((side.name, side.family))
        if change.old is not None:
            self._former[(change.old.name, change.old.family), place_of(change.old)] = change.old

    def abandon(self, destinations: Iterable[Destination]) -> None:
        self._abandoned.update(dict.fromkeys(destinations))

    def move_node_ports(self, before: tuple[Address, ...]) -> None:
        """Node ports were served on these addresses until now."""
        self._node_ports[before] = None

    def include_everything(self) -> None:
        """Look at the flows of every port that is served."""
        self._complete = True

    def clean_up(self, served: Served) -> CleanUp | None:
        """What there is to look for, with `served` as of now; None: nothing."""
        if not (self._concerned or self._abandoned or self._complete):
            return None
        keys = served.keys() if self._complete else served.keys() & self._concerned
        return CleanUp(
            served=tuple(served[key] for key in keys),
            former=tuple(self._former.values()),
            abandoned=tuple(self._abandoned),
            node_ports=tuple(self._node_ports),
            complete=self._complete,
        )

    def put_back(self, failed: CleanUp) -> None:
        """It has to be done again, for all that is served then."""
        for old in failed.former[-REMEMBERED:]:
            self._former.setdefault(((old.name, old.family), place_of(old)), old)
        self._abandoned = dict.fromkeys((*failed.abandoned[-REMEMBERED:], *self._abandoned))
        self._node_ports = dict.fromkeys((*failed.node_ports[-REMEMBERED:], *self._node_ports))
        self._complete = True
