"""A mode that takes over serves everything before the other's rules go, whatever goes wrong."""

from __future__ import annotations

import pytest
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.dataplane.modes.takeover import AllModes, Takeover
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Settings

PORTS = [frontends(cluster=("10.244.0.1:80",))]


@pytest.fixture
def old() -> FakeDataplane:
    """Another mode, which serves."""
    made = FakeDataplane()
    made.resync(Settings(), PORTS)
    return made


def taking_over(new: FakeDataplane, old: FakeDataplane) -> Takeover:
    return Takeover(new, lambda: iter([old]))


def test_the_other_mode_goes_after_the_first_full_resync(old: FakeDataplane) -> None:
    new = FakeDataplane()
    mode = taking_over(new, old)
    assert old.state
    mode.resync(Settings(), PORTS)
    assert new.state
    assert not old.state


def test_the_other_mode_stays_while_the_new_one_fails(old: FakeDataplane) -> None:
    new = FakeDataplane(failure=1.0)
    mode = taking_over(new, old)
    with pytest.raises(DataplaneError):
        mode.resync(Settings(), PORTS)
    assert old.state
    new.failure = 0.0
    mode.resync(Settings(), PORTS)
    assert not old.state


def test_a_removal_that_fails_is_tried_again_with_the_next_resync(old: FakeDataplane) -> None:
    mode = taking_over(FakeDataplane(), old)
    old.failure = 1.0
    mode.resync(Settings(), PORTS)
    assert old.state
    old.failure = 0.0
    mode.resync(Settings(), PORTS)
    assert not old.state


def test_a_removal_that_fails_is_tried_again_without_a_resync(old: FakeDataplane) -> None:
    """The next full resync may be an hour away."""
    mode = taking_over(FakeDataplane(), old)
    old.failure = 1.0
    mode.resync(Settings(), PORTS)
    mode.disturbed()
    assert old.state
    assert not mode.is_alone()
    old.failure = 0.0
    mode.disturbed()
    assert not old.state
    assert mode.is_alone()


def test_the_other_mode_stays_while_it_has_connections(old: FakeDataplane) -> None:
    mode = taking_over(FakeDataplane(), old)
    old.connections = 1
    assert not mode.is_alone()
    mode.resync(Settings(), PORTS)
    assert not mode.disturbed()
    assert old.state
    assert not mode.is_alone()
    old.connections = 0
    assert not mode.disturbed()
    assert not old.state
    assert mode.is_alone()


def test_removal_takes_both_and_a_scan_tells_of_both(old: FakeDataplane) -> None:
    mode = AllModes(FakeDataplane(), lambda: iter([old]))
    assert mode.scan()
    mode.remove()
    assert mode.scan() == []


def held(new: FakeDataplane, old: FakeDataplane) -> Takeover:
    """The new mode has taken over, and the old one is held."""
    before, after = Takeover(old, lambda: iter(())), taking_over(new, old)
    after.hold(before)
    after.resync(Settings(), PORTS)
    return after


def test_a_mode_that_is_held_is_complete_and_disarmed_until_the_commit(old: FakeDataplane) -> None:
    new = FakeDataplane()
    mode = held(new, old)
    assert old.state == new.state
    assert (old.armed, new.armed, mode.is_alone()) == (False, True, False)
    mode.resync(Settings(), PORTS)
    assert not mode.disturbed()
    assert old.state
    mode.commit()
    assert not old.state
    assert mode.is_alone()


def test_changes_reach_the_mode_that_is_held(old: FakeDataplane) -> None:
    new = FakeDataplane()
    mode = held(new, old)
    mode.apply([Change(PORTS[0], other := frontends(cluster=("10.244.0.2:80",)))])
    assert list(old.state.values()) == list(new.state.values()) == [other]
    assert not old.armed


def test_a_mode_that_cannot_be_kept_up_to_date_fails_nobody(old: FakeDataplane) -> None:
    new = FakeDataplane()
    mode = held(new, old)
    old.failure = 1.0
    mode.apply([Change(PORTS[0], None)])
    old.failure = 0.0
    mode.apply([Change(None, PORTS[0])])
    assert new.state == old.state
    assert old.calls.count("apply") == 1


def test_two_modes_that_answer_at_once_are_a_failure(old: FakeDataplane) -> None:
    mode = taking_over(FakeDataplane(), old)
    mode.hold(None)
    old.failure = 1.0
    with pytest.raises(DataplaneError):
        mode.resync(Settings(), PORTS)
    old.failure = 0.0
    mode.resync(Settings(), PORTS)
    assert not old.armed


def test_going_back_takes_over_from_the_mode_that_failed(old: FakeDataplane) -> None:
    failed = FakeDataplane()
    before = Takeover(old, lambda: iter([failed]))
    after = taking_over(failed, old)
    after.hold(before)
    after.resync(Settings(), PORTS)
    before.again()
    before.resync(Settings(), PORTS)
    assert (old.armed, failed.state, before.is_alone()) == (True, {}, True)


def test_the_other_mode_goes_with_its_connections_after_the_drain_period(old: FakeDataplane) -> None:
    """It counts as of the last full resync, also for what drains already."""
    mode = taking_over(FakeDataplane(), old)
    old.connections = 1
    mode.resync(Settings(drain_s=60), PORTS)
    mode.disturbed()
    assert old.state
    mode.resync(Settings(drain_s=0), PORTS)
    assert not old.state
    assert mode.is_alone()
