"""What IPVS of one network namespace holds: the judge of both subjects in ipvs mode, through the socket options that ipvsadm had once.

IPVS announces nothing and numbers no generations. But both subjects end a first sync with rules, so nf_tables' generation tells when; and a
change is looked for in the one virtual server that it concerns, which takes little time.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterator

from tests.bench.nftables import Ruleset, word_of
from tests.bench.sockopt import ask
from tests.bench.world import PORT
from tests.support.netns.namespace import Namespace

_GET_INFO, _GET_SERVICES, _GET_DESTINATIONS = 1153, 1154, 1156
_INFO = struct.Struct("=III")
"""struct ip_vs_getinfo: version, size of the table of connections, number of virtual servers."""
_SERVICES, _SERVICE = struct.Struct("=I4x"), struct.Struct("=H2xIH94x")
"""struct ip_vs_get_services: number of entries. struct ip_vs_service_entry: protocol, address, port, and others."""
_DESTINATIONS, _DESTINATION = struct.Struct("=H2xIH2xII4x"), struct.Struct("=I92x")
"""struct ip_vs_get_dests: protocol, address, port, mark, number of entries. struct ip_vs_dest_entry: address, and others."""
_MOST = 64
"""Destinations of one virtual server."""
_SHORTEST_S, _RESTS = 0.001, 2
"""A look costs CPU time that the subject could use, so there is rest between looks: as many times as long as a look takes."""


def is_there() -> bool:
    """Whether this kernel has IPVS. Asking for it loads the module."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as asked:
        try:
            asked.getsockopt(socket.IPPROTO_IP, _GET_INFO, _INFO.size)
        except OSError:
            return False
    return True


class VirtualServers:
    """Reads the virtual servers; like `nftables.Ruleset`."""

    def __init__(self, namespace: str) -> None:
        self._rules = Ruleset(namespace)
        self._socket = Namespace(namespace, "").call(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def close(self) -> None:
        self._rules.close()
        self._socket.close()

    def generation(self) -> int:
        return self._rules.generation()

    def words(self) -> set[int]:
        """The addresses of all virtual servers that have destinations, and of the destinations."""
        found: set[int] = set()
        for address, port in self._servers():
            destinations = self.destinations(address, port)
            found.update(destinations, (address,) if destinations else ())
        return found

    def destinations(self, address: int, port: int) -> set[int]:
        """The addresses of one virtual server's destinations, all as words; the port in network order. Empty if it is not there."""
        question = _DESTINATIONS.pack(socket.IPPROTO_TCP, address, port, 0, _MOST)
        try:
            answer = ask(self._socket, _GET_DESTINATIONS, question, _DESTINATIONS.size + _MOST * _DESTINATION.size)
        except ProcessLookupError:
            return set()
        return {word for (word,) in _DESTINATION.iter_unpack(answer[_DESTINATIONS.size :]) if word}

    def _servers(self) -> Iterator[tuple[int, int]]:
        _, _, count = _INFO.unpack(ask(self._socket, _GET_INFO, b"", _INFO.size))
        answer = ask(self._socket, _GET_SERVICES, _SERVICES.pack(count), _SERVICES.size + count * _SERVICE.size)
        for protocol, address, port in _SERVICE.iter_unpack(answer[_SERVICES.size :]):
            if protocol == socket.IPPROTO_TCP:
                yield address, port


class Arrivals:
    """Looks for addresses in their virtual servers again and again while any is awaited; like `nftables.Events`."""

    def __init__(self, namespace: str) -> None:
        self._servers = VirtualServers(namespace)
        self._awaited: dict[str, tuple[str, asyncio.Future[float]]] = {}
        self._looking: asyncio.Task[None] | None = None

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._servers.close()

    def arrival(self, address: str, cluster_ip: str) -> asyncio.Future[float]:
        """When the virtual server at the ClusterIP has this destination (monotonic seconds); to be called before it can have it."""
        future = asyncio.get_running_loop().create_future()
        self._awaited[address] = cluster_ip, future
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return future

    async def _look(self) -> None:
        while self._awaited:
            began_s = time.monotonic()
            for address, (cluster_ip, future) in list(self._awaited.items()):
                if word_of(address) in self._servers.destinations(word_of(cluster_ip), socket.htons(PORT)):
                    del self._awaited[address]
                    if not future.done():
                        future.set_result(time.monotonic())
            await asyncio.sleep(max(_SHORTEST_S, _RESTS * (time.monotonic() - began_s)))
