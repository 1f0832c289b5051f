"""IPVS as far as the agent speaks to it: takes its commands, strictly and one by one, and lists what it holds."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from tests.support.simulator.ipvs.commands import Decoded, decode

from proxyconfig_agent.checks.walker.ipvs import Server
from proxyconfig_agent.netlink.ipvs.batches import Refusal
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Command, Destination, Kind, Load, Scheduling, VirtualServer
from proxyconfig_agent.netlink.nftables.connection import KernelError

SCHEDULERS = ("rr",)
"""Those that this kernel has."""
Pair = tuple[VirtualServer, Destination]


class RefusedError(Exception):
    def __init__(self, number: int) -> None:
        self.number = number


class SimulatedServers(Connection):
    """Stands where the generic netlink socket would. `before_commit` is called before every command, and makes it fail by what it
    raises: all commands before it have been done then. `after_commit` is called in the middle of the commands of one send, and at their
    end: packets meet every state in between, of which these are two."""

    def __init__(self) -> None:
        self.servers: dict[VirtualServer, Server] = {}
        self.connections: Counter[Pair] = Counter()
        """Those that are open, by virtual server and destination."""
        self.cut: list[Pair] = []
        """Of each connection that ended because its destination was deleted."""
        self.before_commit: Callable[[], None] = _nothing
        self.after_commit: Callable[[], None] = _nothing

    def close(self) -> None:
        pass

    def commit(self, commands: Iterable[Command]) -> list[Refusal]:
        listed, refused = list(commands), list[Refusal]()
        for position, command in enumerate(listed):
            answered(self.before_commit)
            try:
                self.take(decode(command))
            except RefusedError as refusal:
                refused.append(Refusal(position, refusal.number))
            if position + 1 in (len(listed) // 2, len(listed)):
                self.after_commit()
        return refused

    def services(self) -> dict[VirtualServer, Scheduling]:
        return {key: server.scheduling for key, server in self.servers.items()}

    def destinations(self, server: VirtualServer) -> dict[Destination, Load]:
        held = self.servers.get(server)
        return {each: Load(weight, self.connections[server, each], 0) for each, weight in held.destinations.items()} if held else {}

    def loads(self) -> Mapping[VirtualServer, dict[Destination, Load]]:
        return {server: self.destinations(server) for server in self.servers}

    def take(self, command: Decoded) -> None:
        """Raises RefusedError with the errno of net/netfilter/ipvs/ip_vs_ctl.c."""
        server = self.servers.get(command.server)
        if command.kind is Kind.NEW_SERVICE:
            _refuse_if(server is not None, errno.EEXIST)
            self.servers[command.server] = Server(_schedulable(command))
            return
        if server is None:
            raise RefusedError(errno.ESRCH)
        match command.kind:
            case Kind.SET_SERVICE:
                server.scheduling = _schedulable(command)
            case Kind.DELETE_SERVICE:
                self._cut(command.server, list(server.destinations))
                del self.servers[command.server]
            case Kind.NEW_DESTINATION | Kind.SET_DESTINATION | Kind.DELETE_DESTINATION:
                self._of_destination(command, server)
            case _:
                raise NotImplementedError(command.kind)

    def _of_destination(self, command: Decoded, server: Server) -> None:
        destination = command.destination
        assert destination is not None
        if command.kind is Kind.NEW_DESTINATION:
            _refuse_if(destination in server.destinations, errno.EEXIST)
        else:
            _refuse_if(destination not in server.destinations, errno.ENOENT)
        if command.kind is Kind.DELETE_DESTINATION:
            self._cut(command.server, [destination])
            del server.destinations[destination]
        else:
            server.destinations[destination] = command.weight

    def _cut(self, server: VirtualServer, destinations: Iterable[Destination]) -> None:
        self.cut += [(server, each) for each in destinations for _ in range(self.connections.pop((server, each), 0))]


def _schedulable(command: Decoded) -> Scheduling:
    assert command.scheduling is not None
    _refuse_if(command.scheduling.scheduler not in SCHEDULERS, errno.ENOENT)
    return command.scheduling


def _refuse_if(condition: bool, number: int) -> None:
    if condition:
        raise RefusedError(number)


def answered(before: Callable[[], None]) -> None:
    """A socket that fails loses the answer to what was sent."""
    try:
        before()
    except KernelError as error:
        raise OSError(error.number, "an answer is lost") from error


def _nothing() -> None:
    pass
