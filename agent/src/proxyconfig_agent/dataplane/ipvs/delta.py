"""The difference between virtual servers: what is added first, and what goes afterwards. Pure; `delta(x, x)` is empty.

Deleting a destination cuts its connections, and a virtual server is deleted with all of its destinations. So what goes keeps its
connections with weight 0. Of UDP it does so for as long as it serves, and not a moment longer: its clients would stay at a dead
endpoint for as long as they send.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from msgspec import Struct, field

from proxyconfig_agent.dataplane.ipvs.model.servers import WEIGHT, Server, Servers, weight_of
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs.messages import Destination, Scheduling, VirtualServer

Pairs = list[tuple[VirtualServer, Destination]]


class ServerDelta(Struct):
    """In the order of the fields it loses nothing: each depends on those before it."""

    made: dict[VirtualServer, Scheduling] = field(default_factory=dict)
    changed: dict[VirtualServer, Scheduling] = field(default_factory=dict)
    """How they pick; destinations and connections stay."""
    added: Pairs = field(default_factory=list)
    revived: Pairs = field(default_factory=list)
    """They drained, and are to take new connections again; or they are to have another weight."""
    drained: Pairs = field(default_factory=list)
    removed: Pairs = field(default_factory=list)
    retired: list[VirtualServer] = field(default_factory=list)
    """They are not wanted; they go when their destinations are drained."""
    deleted: list[VirtualServer] = field(default_factory=list)
    weights: dict[VirtualServer, int] = field(default_factory=dict)
    """Of what is added and revived, where it is not WEIGHT."""

    def reweigh(self, servers: Servers, destinations: Mapping[VirtualServer, Set[Destination]]) -> None:
        """Give those of these destinations that `servers` have the weight that they should have."""
        for key in servers.keys() & destinations.keys():
            self.revived += [(key, each) for each in sorted(destinations[key] & servers[key].destinations)]

    def __len__(self) -> int:
        fields = (self.made, self.changed, self.added, self.revived, self.drained, self.removed, self.deleted)
        return sum(map(len, fields))


def delta(old: Servers, new: Servers, draining: Mapping[VirtualServer, Set[Destination]]) -> ServerDelta:
    """What makes `new` of `old`. `draining`: destinations that are there with weight 0, besides those of `old`."""
    found = ServerDelta()
    put(found, old, new, draining)
    take(found, {key: server for key, server in old.items() if key not in new}, draining)
    return found


def put(found: ServerDelta, old: Servers, new: Servers, draining: Mapping[VirtualServer, Set[Destination]]) -> None:
    """Add to `found` what makes those of `new`; the others of `old` stay as they are."""
    for key, server in new.items():
        _put(found, key, old.get(key), server, draining.get(key))


def take(found: ServerDelta, gone: Servers, draining: Mapping[VirtualServer, Set[Destination]]) -> None:
    """Add to `found` what takes these away."""
    for key, server in gone.items():
        _take(found, key, server, draining.get(key, frozenset()))


def _put(found: ServerDelta, key: VirtualServer, before: Server | None, server: Server, draining: Set[Destination] | None) -> None:
    if before is None and draining is None:
        found.made[key] = server.scheduling
    elif before is None or before.scheduling != server.scheduling:
        found.changed[key] = server.scheduling
    kept = before.destinations if before else frozenset()
    for destination in sorted(server.destinations - kept):
        (found.revived if draining and destination in draining else found.added).append((key, destination))
    _weigh(found, key, before, server)
    drains = frozenset(draining or ())
    for destination in sorted((kept | drains) - server.destinations):
        if key.protocol == Protocol.UDP and destination not in server.serving:
            found.removed.append((key, destination))
        elif destination not in drains:
            found.drained.append((key, destination))


def _weigh(found: ServerDelta, key: VirtualServer, before: Server | None, server: Server) -> None:
    weight = weight_of(server.scheduling)
    if weight != WEIGHT:
        found.weights[key] = weight
    if before is not None and weight != weight_of(before.scheduling):
        found.revived.extend((key, each) for each in sorted(before.destinations & server.destinations))


def _take(found: ServerDelta, key: VirtualServer, server: Server, draining: Set[Destination]) -> None:
    if key.protocol == Protocol.UDP or not (server.destinations or draining):
        found.deleted.append(key)
    else:
        found.drained.extend((key, destination) for destination in sorted(server.destinations))
        found.retired.append(key)
