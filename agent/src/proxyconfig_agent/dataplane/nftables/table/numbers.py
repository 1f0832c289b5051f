"""The numbers in service words: ids of Service ports, classes of pick chains, slots of endpoints.

They are given out here and read back from the kernel after a restart (`adopt`, `claim`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain, needed_by
from proxyconfig_agent.dataplane.nftables.model.service_mark import FIRST_PICK, IDS, LOW
from proxyconfig_agent.dataplane.tables.undo_log import UndoLog

AFFINITY_LIFE_S = 86_400.0
"""The longest timeout of an affinity entry, so the longest that one can outlive its Service."""


class ExhaustedError(Exception):
    """A Service needs more numbers than a word can hold; the message is a sentence for its Event."""


class Ids:
    """Which ids are in use. One that had session affinity rests for a day: entries of its clients can live that long."""

    def __init__(self, journal: UndoLog, now: Callable[[], float]) -> None:
        self._journal = journal
        self._now = now
        self._taken = bytearray(IDS)
        self._next = 1
        self._resting: deque[tuple[float, int]] = deque()

    def allocate(self) -> int:
        """A free id; they are given out round robin. Raises ExhaustedError."""
        self._wake()
        found = self._taken.find(0, self._next)
        if found < 0:
            found = self._taken.find(0, 1)
        if found < 0:
            raise ExhaustedError(f"all {IDS - 1} ids of Service ports are in use or rest after session affinity; remove Services")
        self._journal.put(self._taken, found, 1)
        self._next = found + 1
        return found

    def claim(self, identity: int) -> bool:
        """Take an id that the kernel has already; whether it was free."""
        if not 0 < identity < IDS or self._taken[identity]:
            return False
        self._taken[identity] = 1
        self._next = max(self._next, identity + 1)
        return True

    def inherit(self, other: Ids) -> None:
        """Know what another instance knew."""
        self._taken[:] = other._taken
        self._next = other._next
        self._resting = deque(other._resting)

    def release(self, identity: int) -> None:
        self._journal.put(self._taken, identity, 0)

    def rest(self, identity: int) -> None:
        """Keep an id from being used again until no affinity entry can carry it."""
        self._taken[identity] = 1
        self._resting.append((self._now() + AFFINITY_LIFE_S, identity))

    def _wake(self) -> None:
        while self._resting and self._resting[0][0] <= self._now():
            self._taken[self._resting.popleft()[1]] = 0


class Classes:
    """The numbers of pick chains."""

    def __init__(self, journal: UndoLog) -> None:
        self._journal = journal
        self.codes: dict[EndpointChain, int] = {}
        self._fresh: dict[EndpointChain, int] = {}

    def ensure(self, picks: Iterable[EndpointChain]) -> None:
        """Number what has no number yet, and remember that its chain is to be made. Raises ExhaustedError."""
        for pick in picks:
            if pick.endpoints and pick not in self.codes:
                self.ensure(needed_by(pick))
                code = self._free()
                self._journal.put(self.codes, pick, code)
                self._journal.put(self._fresh, pick, code)

    def adopt(self, pick: EndpointChain, code: int) -> None:
        self.codes[pick] = code

    def forget(self, picks: Iterable[EndpointChain]) -> None:
        """Their chains are about to go."""
        for pick in picks:
            del self.codes[pick]

    def fresh(self) -> dict[EndpointChain, int]:
        """Those whose chains are not in the kernel yet, in the order in which they can be made."""
        return dict(self._fresh)

    def made(self) -> None:
        """All their chains are in the kernel."""
        self._fresh.clear()

    def _free(self) -> int:
        taken = len(self.codes) + FIRST_PICK
        if taken <= LOW and taken not in (used := set(self.codes.values())):
            return taken
        for code in range(FIRST_PICK, LOW + 1):
            if code not in used:
                return code
        raise ExhaustedError(f"all {LOW} classes are in use; fewer different endpoint counts and affinity timeouts are needed")


class Slots(Struct, frozen=True):
    """The slots of one Service port's endpoints: an endpoint keeps its own while it is there, and a freed one is not reused soon."""

    numbers: Mapping[bytes, int] = field(default_factory=dict)
    last: int = 0

    def assigned(self, endpoints: Iterable[bytes]) -> Slots:
        """The slots for exactly `endpoints`. Raises ExhaustedError."""
        wanted = dict.fromkeys(endpoints)
        if len(wanted) > LOW:
            raise ExhaustedError(f"session affinity allows {LOW} endpoints at most and it has {len(wanted)}; switch the affinity off")
        kept = {endpoint: self.numbers[endpoint] for endpoint in wanted if endpoint in self.numbers}
        used = set(kept.values())
        last = self.last
        for endpoint in wanted:
            if endpoint not in kept:
                last = last % LOW + 1
                while last in used:
                    last = last % LOW + 1
                kept[endpoint] = last
        return Slots(kept, last)
