"""Whether another program changed virtual servers or routes of ours. The kernel reports no changes of either, so both are read now and then
and compared with the time before, in a thread: the event loop goes on meanwhile.

What was read before one of our changes is void after it. Others' virtual servers may change as they like.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain

from msgspec import Struct

from proxyconfig_agent.ingest.model import Address

PERIOD_S = 30.0


class Seen(Struct, frozen=True):
    """What was there after so many of our changes."""

    changes: int
    digest: int


class Watch:
    """`read` opens the listing of virtual servers, line by line, and our routes; it may take its time. It raises OSError."""

    def __init__(self, read: Callable[[], AbstractContextManager[tuple[Iterable[str], Iterable[bytes]]]], now: Callable[[], float]) -> None:
        self._read, self._now = read, now
        self._changes = 0
        self._next = 0.0
        self._thread: threading.Thread | None = None
        self._fresh: Seen | None = None
        self._before: Seen | None = None

    def changed_by_us(self) -> None:
        self._changes += 1

    def disturbed(self, addresses: Callable[[], Iterable[Address]]) -> bool:
        """Whether what was read last is another than before; begins to read if it is time. `addresses`: of our virtual servers, asked for
        only then."""
        if self._thread is not None and self._thread.is_alive():
            return False
        fresh, self._fresh = self._fresh, None
        if fresh is not None:
            before, self._before = self._before, fresh
            return before is not None and fresh.changes == before.changes == self._changes and fresh.digest != before.digest
        if self._now() >= self._next:
            self._next = self._now() + PERIOD_S
            self._thread = threading.Thread(target=self._look, args=(self._changes, frozenset(addresses())), name="ipvs-watch", daemon=True)
            self._thread.start()
        return False

    def _look(self, changes: int, addresses: frozenset[Address]) -> None:
        try:
            with self._read() as (lines, routes):
                digest = _digest(chain(ours(lines, addresses), (route.hex() for route in routes)))
        except OSError:
            return  # the next full resync says what is wrong
        self._fresh = Seen(changes, digest)


def ours(lines: Iterable[str], addresses: Collection[Address]) -> Iterator[str]:
    """Of /proc/net/ip_vs the virtual servers at these addresses and their destinations, without what packets count, in any order."""
    texts = {_text(address) for address in addresses}
    server = ""
    for line in lines:
        words = line.split()
        if words[0] == "->":
            if server:
                yield " ".join((server, *words[1:4]))
        else:
            server = " ".join(words) if len(words) > 1 and words[1].rpartition(":")[0] in texts else ""
            if server:
                yield server


def _digest(lines: Iterable[str]) -> int:
    """The same for these lines in any order."""
    return sum(int.from_bytes(hashlib.blake2b(line.encode(), digest_size=16).digest()) for line in lines)


def _text(address: Address) -> str:
    """0A600001, or [fd00:0000:…:0001]."""
    digits = address.hex()
    return digits.upper() if len(address) == 4 else f"[{':'.join(digits[at : at + 4] for at in range(0, len(digits), 4))}]"
