"""Modes leave a node that somebody else serves: each when it has no connections any more, and with a scan at its end."""

from __future__ import annotations

import pytest
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.dataplane.modes.departure import Departure
from proxyconfig_agent.dataplane.port import DataplaneError, Settings


def serving() -> FakeDataplane:
    made = FakeDataplane()
    made.resync(Settings(), [frontends(cluster=("10.244.0.1:80",))])
    return made


def test_a_mode_goes_when_its_last_connection_has_ended_and_others_at_once() -> None:
    idle, busy, absent, gone = serving(), serving(), FakeDataplane(), list[int]()
    busy.connections = 1
    departure = Departure([idle, busy, absent], lambda: gone.append(1))
    assert not departure.step(60)
    assert (idle.state, absent.calls, bool(busy.state), gone) == ({}, ["close"], True, [])
    busy.connections = 0
    assert departure.step(60)
    assert (departure.is_over, departure.left, busy.state, gone) == (True, [], {}, [1])
    assert [each.calls[-1] for each in (idle, busy)] == ["close", "close"]


def test_nobody_waits_for_connections_without_a_drain_period() -> None:
    busy = serving()
    busy.connections = 1
    assert Departure([busy]).step(0)


def test_what_cannot_be_removed_is_an_error_of_the_caller() -> None:
    broken = serving()
    departure = Departure([broken])
    broken.failure = 1.0
    with pytest.raises(DataplaneError):
        departure.step(0)
    departure.close()
    assert broken.state
