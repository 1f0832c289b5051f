"""Under changes that never end, repairs and periodic syncs come in time, and so do the changes."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
import structlog
from tests.support import plainlogs
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.examples import piece, ready, service
from tests.unit.agent.sync.test_runner import Rig

from proxyconfig_agent.dataplane.port import Change, Outcome, Settings
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.sync.schedule import LONGEST_REST_S, SyncIntervals

MINUTES = 10
REPAIRED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds at 5,000 Services × 10 endpoints (docs/benchmarks.md, docs/adr/0014)."""

    change_s: float
    audit_s: float


MODES = {"nftables": Costs(0.005, 0.4), "iptables-nft": Costs(0.138, 3.0), "iptables-legacy": Costs(0.9, 2.0)}


class Costly(FakeDataplane):
    """Takes its time, while the cluster changes again."""

    def __init__(self, costs: Costs) -> None:
        super().__init__()
        self._costs = costs
        self.rig: Rig | None = None

    def apply(self, changes: Iterable[Change]) -> Outcome:
        outcome = super().apply(changes)
        self._pass(self._costs.change_s)
        return outcome

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        outcome = super().resync(settings, wanted)
        self._pass(self._costs.audit_s)
        return outcome

    def _pass(self, seconds: float) -> None:
        assert self.rig is not None
        self.rig.now += seconds
        change(self.rig)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Tens of thousands of syncs, each with a line of the log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    plainlogs.configure()


_addresses = itertools.cycle(f"10.0.0.{number}" for number in range(1, 255))


def change(rig: Rig) -> None:
    rig.cluster.put_slice(piece((next(_addresses), ready())))


def churning(costs: Costs, intervals: SyncIntervals) -> Rig:
    """After the first sync."""
    dataplane = Costly(costs)
    rig = dataplane.rig = Rig(dataplane, intervals)
    rig.cluster.put_service(service())
    rig.cluster.put_service(service("quiet", "10.96.0.11"))
    rig.step()
    return rig


def churn(rig: Rig, seconds: float) -> None:
    until = rig.now + seconds
    while rig.now < until:
        assert rig.cluster.pending
        rig.now = max(rig.now, rig.step())


def of(rig: Rig, *reasons: SyncReason) -> list[SyncResult]:
    return [sync for sync in rig.told if sync.reason in reasons]


@pytest.mark.parametrize("costs", MODES.values(), ids=MODES)
def test_what_somebody_else_changed_is_repaired_in_time(costs: Costs) -> None:
    rig, damaged_at = churning(costs, SyncIntervals()), list[float]()
    for _ in range(MINUTES):
        churn(rig, 60)
        rig.dataplane.tamper()
        damaged_at.append(rig.now)
    churn(rig, 60)
    repairs = of(rig, SyncReason.DRIFT)
    assert len(repairs) == len(damaged_at)
    assert max(repair.ended_at - at for repair, at in zip(repairs, damaged_at, strict=True)) <= REPAIRED_WITHIN_S
    assert all(repair.repaired for repair in repairs)
    assert len(rig.dataplane.state) == 2


@pytest.mark.parametrize("costs", MODES.values(), ids=MODES)
def test_periodic_syncs_come_in_time(costs: Costs) -> None:
    rig = churning(costs, SyncIntervals(full_s=30))
    churn(rig, 60 * MINUTES)
    ends = [sync.ended_at for sync in of(rig, SyncReason.START, SyncReason.PERIOD)]
    longest_s = 30 + costs.change_s + costs.audit_s
    assert max(after - before for before, after in itertools.pairwise(ends)) <= longest_s + 0.001
    assert len(ends) >= 60 * MINUTES / longest_s


@pytest.mark.parametrize("intervals", [SyncIntervals(full_s=1), SyncIntervals(min_s=5, full_s=2)], ids=["often", "rarely"])
@pytest.mark.parametrize("costs", MODES.values(), ids=MODES)
def test_changes_come_in_time_however_often_there_is_an_audit(costs: Costs, intervals: SyncIntervals) -> None:
    rig = churning(costs, intervals)
    churn(rig, 60)
    ends = [sync.ended_at for sync in of(rig, SyncReason.CHANGE)]
    longest_s = max(LONGEST_REST_S, 2 * intervals.min_s) + costs.audit_s + costs.change_s
    assert max(after - before for before, after in itertools.pairwise(ends)) <= longest_s + 0.001
    assert of(rig, SyncReason.PERIOD)
