"""Virtual servers: what of ours is in the kernel, and the steps of a change. The only place of this mode that talks to IPVS.

IPVS has no transactions: a command that is refused is one of many that were done. So what is there already is taken as done, and what
is lacking shows that another program was here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from proxyconfig_agent.dataplane.ipvs.delta import Pairs, ServerDelta
from proxyconfig_agent.dataplane.ipvs.model.servers import WEIGHT, is_ours, marking
from proxyconfig_agent.dataplane.port import ConflictError, DataplaneError
from proxyconfig_agent.ingest.model import Address, Protocol, text_of
from proxyconfig_agent.netlink.ipvs import messages
from proxyconfig_agent.netlink.ipvs.batches import Refusal
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Command, Destination, Load, Scheduling, VirtualServer


class Held(Struct):
    """What the kernel has: ours with their destinations, and the keys of all others."""

    schedulings: dict[VirtualServer, Scheduling] = field(default_factory=dict)
    loads: dict[VirtualServer, dict[Destination, Load]] = field(default_factory=dict)
    foreign: set[VirtualServer] = field(default_factory=set)


class NotMade(NamedTuple):
    """Why a virtual server cannot be."""

    sentence: str
    scheduler: str = ""
    """The one that the kernel lacks, if that is why."""


Refused = dict[VirtualServer, NotMade]
FOREIGN = (
    "is a virtual server of another program; if kube-proxy left it, set spec.ipvs.adoptKubeProxy; else delete it (ipvsadm -Ln), or "
    "change the Service"
)
_Numbers = dict[VirtualServer, int]


_Weighing = Callable[[VirtualServer, Destination, int], Command]


class VirtualServers:
    def __init__(self, connection: Connection) -> None:
        self._kernel = connection

    def close(self) -> None:
        self._kernel.close()

    def held(self) -> Held:
        """Raises OSError."""
        schedulings = self._kernel.services()
        ours = {server: scheduling for server, scheduling in schedulings.items() if is_ours(scheduling)}
        loads = {server: loads for server, loads in self._kernel.loads().items() if server in ours}
        return Held(ours, loads, set(schedulings.keys() - ours.keys()))

    def loads(self, server: VirtualServer) -> dict[Destination, Load]:
        """The destinations of one virtual server. Raises OSError."""
        return self._kernel.destinations(server)

    def refusal_of(self, server: VirtualServer, scheduling: Scheduling) -> int:
        """The errno with which the kernel refuses such a virtual server, which is made and deleted again; 0: it can have it.

        One of ours that is there was left by an agent that ended in between: it goes first. Raises OSError."""
        number = self._tried(server, scheduling)
        if number == errno.EEXIST:
            self.delete([server])
            number = self._tried(server, scheduling)
        return number

    def keeps(self, server: VirtualServer, scheduling: Scheduling) -> bool:
        """Whether such a virtual server, which is made and deleted again, is listed as it was made: with our mark. Raises OSError."""
        self._kernel.commit([messages.new_service(server, scheduling)])
        listed = self._kernel.services().get(server)
        self._kernel.commit([messages.delete_service(server)])
        return listed == scheduling

    def prepare(self, delta: ServerDelta) -> Refused:
        """Make and change the virtual servers themselves, still without destinations. Raises OSError, ConflictError."""
        made = list(delta.made)
        refused = self._refused(made, self._kernel.commit(messages.new_service(server, delta.made[server]) for server in made))
        if there := [server for server, number in refused.items() if number == errno.EEXIST]:
            refused = self._claimed(there, delta.made, refused)
        changed = list(delta.changed)
        commands = [messages.set_service(server, delta.changed[server]) for server in changed]
        refused |= self._refused(changed, self._kernel.commit(commands))
        _raise_if_gone(refused)
        return {server: _why(server, number, delta) for server, number in refused.items()}

    def fill(self, delta: ServerDelta) -> None:
        """Add destinations. Raises OSError; ConflictError if a virtual server is gone."""
        self._set(delta.added, delta.weights, errno.EEXIST, messages.new_destination, messages.set_destination)
        self._set(delta.revived, delta.weights, errno.ENOENT, messages.set_destination, messages.new_destination)

    def drain(self, delta: ServerDelta) -> None:
        """Take away what is not wanted. What another program took away already is no matter. Raises OSError."""
        commands = [messages.set_destination(server, destination, 0) for server, destination in delta.drained]
        commands += [messages.delete_destination(server, destination) for server, destination in delta.removed]
        self._kernel.commit([*commands, *map(messages.delete_service, delta.deleted)])

    def delete(self, servers: Iterable[VirtualServer]) -> None:
        """Of ours only. Raises OSError."""
        ours = {server for server, scheduling in self._kernel.services().items() if is_ours(scheduling)}
        self._kernel.commit(messages.delete_service(server) for server in servers if server in ours)

    def mark(self, servers: Iterable[VirtualServer]) -> None:
        """Make others' virtual servers ours; their destinations and connections stay. Raises OSError."""
        held = self._kernel.services()
        marked = {server: held[server] for server in servers if server in held}
        self._kernel.commit(messages.set_service(server, marking(scheduling)) for server, scheduling in marked.items())

    def _tried(self, server: VirtualServer, scheduling: Scheduling) -> int:
        refused = self._kernel.commit([messages.new_service(server, scheduling)])
        if not refused:
            self._kernel.commit([messages.delete_service(server)])
        return refused[0].number if refused else 0

    def _claimed(self, there: list[VirtualServer], made: Mapping[VirtualServer, Scheduling], refused: _Numbers) -> _Numbers:
        """What is there already is ours by its tag, or another program's."""
        held = self._kernel.services()
        ours = [server for server in there if server in held and is_ours(held[server])]
        self._kernel.commit(messages.set_service(server, made[server]) for server in ours)
        return {server: number for server, number in refused.items() if server not in ours}

    def _set(self, pairs: Pairs, weights: Mapping[VirtualServer, int], otherwise: int, first: _Weighing, second: _Weighing) -> None:
        """Give destinations their weight by the first command, and by the second where the kernel says `otherwise`."""
        refused = self._kernel.commit(first(server, destination, weights.get(server, WEIGHT)) for server, destination in pairs)
        again = [pairs[each.position] for each in refused if each.number == otherwise]
        lost = [(pairs[each.position][0], each.number) for each in refused if each.number != otherwise]
        repeated = self._kernel.commit(second(server, destination, weights.get(server, WEIGHT)) for server, destination in again)
        lost += [(again[each.position][0], each.number) for each in repeated]
        for server, number in lost:
            raise ConflictError(f"ipvs: a destination of {text(server)} is refused ({os.strerror(number)}); a full resync repairs it")

    def _refused(self, servers: list[VirtualServer], refused: Iterable[Refusal]) -> _Numbers:
        return {servers[each.position]: each.number for each in refused}


def text(server: VirtualServer) -> str:
    address = text_of(Address(server.address))
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{server.port}/{Protocol(server.protocol).name}"


def _raise_if_gone(refused: Mapping[VirtualServer, int]) -> None:
    gone = [server for server, number in refused.items() if number == errno.ESRCH]
    if gone:
        raise ConflictError(f"ipvs: virtual server {text(gone[0])} is gone; a full resync repairs it")


def _why(server: VirtualServer, number: int, delta: ServerDelta) -> NotMade:
    scheduling = delta.made.get(server) or delta.changed[server]
    if number == errno.EEXIST:
        return NotMade(f"{text(server)} {FOREIGN}")
    if number == errno.ENOENT:
        return NotMade(lacks_scheduler(scheduling.scheduler), scheduling.scheduler)
    if number == errno.ENOMEM:
        raise DataplaneError(f"ipvs: no memory for virtual server {text(server)}")
    return NotMade(f"the kernel refused virtual server {text(server)}: {os.strerror(number)} ({errno.errorcode.get(number, number)})")


def lacks_scheduler(name: str) -> str:
    return f"the kernel has no scheduler {name}; load it (modprobe ip_vs_{name}), or choose another"
