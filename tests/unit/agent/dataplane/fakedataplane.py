"""A data plane that keeps state, checks what it is given, commits all or nothing, and fails when it is asked to.

It knows what a kernel knows: which (address, protocol, port) and node port belongs to which Service port. A change whose `old` is not
what it has, or that claims what another has, is a bug of the caller, and an AssertionError.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence

from proxyconfig_agent.dataplane.port import Change, DataplaneError, Outcome, ProbeResult, Refusal, Settings
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName

Identity = tuple[PortName, Family]
State = dict[Identity, Frontends]


class FakeDataplane:
    """`failure`: the probability that a call fails, drawn from `seed`."""

    def __init__(self, failure: float = 0.0, seed: int = 0) -> None:
        self.state: State = {}
        self.settings = Settings()
        self.failure, self._chance = failure, random.Random(seed)
        self.calls: list[str] = []
        self.order: list[PortName] = []
        self.touched = self.slow = False
        self.armed = True
        """Whether packets meet what it has."""
        self.connections = 0
        """Those that it still serves, and that keep it from retiring."""
        self.refuses: set[ServiceName] = set()
        """Services that it has no room for."""
        self.unserved: dict[Family, str] = {}
        """What its kernel lacks."""

    def probe(self) -> ProbeResult:
        return ProbeResult({"fake": "yes"}, dict(self.unserved))

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        self.calls.append("resync")
        listed = list(wanted)
        self._maybe_fail()
        self.settings, self.order = settings, [each.name for each in listed]
        fresh: State = {}
        refused = _place(fresh, listed, self.refuses)
        operations = sum(1 for key in fresh.keys() | self.state.keys() if fresh.get(key) != self.state.get(key))
        self.state = fresh
        self.touched, self.armed = False, True
        return Outcome(operations, refused=tuple(refused), took_s={"commit": 0.001})

    def apply(self, changes: Iterable[Change]) -> Outcome:
        self.calls.append("apply")
        listed = list(changes)
        fresh = dict(self.state)
        for change in listed:
            one = change.old or change.new
            assert one is not None, "an empty change"
            assert change.old == self.state.get((one.name, one.family)) or self.touched, "the caller does not know what the kernel has"
            fresh.pop((one.name, one.family), None)
        self._maybe_fail()
        refused = _place(fresh, [change.new for change in listed if change.new is not None], self.refuses)
        self.state = fresh
        return Outcome(len(listed), refused=tuple(refused), took_s={"commit": 0.001})

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self.slow and bool(changes)

    def disturbed(self) -> bool:
        return self.touched

    def disarm(self) -> bool:
        self.calls.append("disarm")
        self._maybe_fail()
        self.armed = False
        return True

    def arm(self) -> None:
        self.calls.append("arm")
        self.armed = True

    def retire(self, drain_s: float) -> bool:
        """Whether it is gone: not while it has connections, if they may drain."""
        if self.connections and drain_s:
            return False
        self.remove()
        return True

    def remove(self) -> None:
        self._maybe_fail()
        self.state = {}

    def close(self) -> None:
        self.calls.append("close")

    def scan(self) -> list[str]:
        return [str(name) for name, _ in self.state]

    def tamper(self) -> None:
        """What an administrator may do to the tables."""
        self.state = {}
        self.touched = True

    def _maybe_fail(self) -> None:
        if self._chance.random() < self.failure:
            raise DataplaneError("the kernel says no: Invalid argument")


def _claims(one: Frontends) -> Iterator[object]:
    for address in (one.cluster_ip, *one.external_ips, *one.load_balancer_ips):
        if address is not None:
            yield (address, one.name.protocol, one.port)
    if one.node_port:
        yield (one.family, one.name.protocol, one.node_port)


def _place(state: State, wanted: Iterable[Frontends], refuses: Collection[ServiceName]) -> list[Refusal]:
    """Add what is not refused. That two claim the same is a bug of the caller."""
    owners = {claim: one.name for one in state.values() for claim in _claims(one)}
    refusals: dict[ServiceName, Refusal] = {}
    for one in wanted:
        assert (one.name, one.family) not in state, f"{one.name} twice"
        if one.name.service in refuses:
            refusals[one.name.service] = Refusal(one.name.service, "there is no room for it")
            continue
        for claim in set(_claims(one)):
            assert owners.setdefault(claim, one.name) == one.name, f"{one.name} and {owners[claim]} claim the same"
        state[one.name, one.family] = one
    return list(refusals.values())
