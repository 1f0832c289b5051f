"""What iptables' legacy tables of one network namespace hold: the judge of both subjects where no nf_tables tells of changes.

The kernel announces nothing here and numbers no generations, so the nat table is asked for: its size often, its rules when it matters.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time

from tests.bench.sockopt import ask
from tests.support.netns.namespace import Namespace

_GET_INFO, _GET_ENTRIES = 64, 65
_NAME = 32
_INFO = struct.Struct("=32sI5I5III")
"""struct ipt_getinfo: name, hooks, where they begin, where their policies stand, rules, bytes."""
_HEAD = _NAME + 8
"""struct ipt_get_entries: name, size, padding."""
_ADDRESSES = struct.Struct("=II")
_NEXT = struct.Struct("=H")
_NEXT_AT = 90
"""Of next_offset in struct ipt_entry, behind struct ipt_ip (84 bytes), nfcache and target_offset."""
_TABLE = b"nat"
_SHORTEST_S, _RESTS = 0.005, 2
"""A look costs CPU time that the subject could use, so there is rest between looks: as many times as long as a look takes."""


class LegacyTables:
    """Reads the nat table; like `nftables.Ruleset`."""

    def __init__(self, namespace: str) -> None:
        self._socket = Namespace(namespace, "").call(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def close(self) -> None:
        self._socket.close()

    def generation(self) -> int:
        """Another number when there are more or fewer rules, or larger ones; a rule that took another's place is not seen."""
        rules, size = _INFO.unpack(ask(self._socket, _GET_INFO, _TABLE, _INFO.size))[-2:]
        return int(rules) << 40 | int(size)

    def words(self) -> set[int]:
        """The source and destination of every rule. A rule's target is not among them: an endpoint has another rule for it."""
        octets = self.rules()
        found: set[int] = set()
        at = _HEAD
        while at < len(octets):
            found.update(_ADDRESSES.unpack_from(octets, at))
            at += _NEXT.unpack_from(octets, at + _NEXT_AT)[0]
        return found

    def rules(self) -> bytearray:
        """The whole table as the kernel has it."""
        while True:
            size = self.generation() & (1 << 40) - 1
            try:
                return ask(self._socket, _GET_ENTRIES, struct.pack("=32sII", _TABLE, size, 0), _HEAD + size)
            except BlockingIOError:  # EAGAIN: it has another size already
                continue


class LegacyEvents:
    """Looks for addresses in the nat table again and again while any is awaited; like `nftables.Events`."""

    def __init__(self, namespace: str) -> None:
        self._tables = LegacyTables(namespace)
        self._awaited: dict[bytes, asyncio.Future[float]] = {}
        self._looking: asyncio.Task[None] | None = None

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._tables.close()

    def arrival(self, address: str, cluster_ip: str) -> asyncio.Future[float]:
        """When the kernel has this address, which only one Service has (monotonic seconds); to be called before it can have it."""
        del cluster_ip
        future = asyncio.get_running_loop().create_future()
        self._awaited[socket.inet_aton(address)] = future
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return future

    async def _look(self) -> None:
        while self._awaited:
            began_s = time.monotonic()
            octets = await asyncio.to_thread(self._tables.rules)
            now_s = time.monotonic()
            for address in [address for address in self._awaited if address in octets]:
                future = self._awaited.pop(address)
                if not future.done():
                    future.set_result(now_s)
            await asyncio.sleep(max(_SHORTEST_S, _RESTS * (now_s - began_s)))
