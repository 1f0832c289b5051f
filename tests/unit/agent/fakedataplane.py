"""A data plane that keeps state, checks what it is told, commits all or nothing, and fails when it is asked to.

It knows what a kernel knows: which (address, protocol, port) and node port belongs to which Service port. A change whose `old` is not
what it has is a bug of the caller, and an AssertionError.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from proxyconfig_agent.dataplane import Change, DataplaneError, Outcome, Refusal, Settings
from proxyconfig_agent.ingest.values import Family
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
        self.touched = False

    def probe(self) -> dict[str, str]:
        return {"fake": "yes"}

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        self.calls.append("resync")
        listed = list(wanted)
        self._maybe_fail()
        self.settings, self.order = settings, [each.name for each in listed]
        fresh: State = {}
        refused = _place(fresh, listed)
        operations = sum(1 for key in fresh.keys() | self.state.keys() if fresh.get(key) != self.state.get(key))
        self.state = fresh
        self.touched = False
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
        refused = _place(fresh, [change.new for change in listed if change.new is not None])
        self.state = fresh
        return Outcome(len(listed), refused=tuple(refused), took_s={"commit": 0.001})

    def disturbed(self) -> bool:
        return self.touched

    def remove(self) -> None:
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
        yield (address, one.name.protocol, one.port)
    if one.node_port:
        yield (one.family, one.name.protocol, one.node_port)


def _place(state: State, wanted: Iterable[Frontends]) -> list[Refusal]:
    """Add what fits; refuse, Service by Service, what claims an address that another Service has."""
    owners = {claim: one.name.service for one in state.values() for claim in _claims(one)}
    refusals: dict[object, Refusal] = {}
    for one in wanted:
        assert (one.name, one.family) not in state, f"{one.name} twice"
        other = next((owner for claim in _claims(one) if (owner := owners.get(claim, one.name.service)) != one.name.service), None)
        if other is not None:
            refusals[one.name.service] = Refusal(one.name.service, f"an address or port of it is {other}'s already")
            continue
        state[one.name, one.family] = one
        owners.update((claim, one.name.service) for claim in _claims(one))
    for key in [key for key in state if key[0].service in refusals]:
        del state[key]
    return list(refusals.values())
