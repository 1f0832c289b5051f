"""Which endpoint a client gets from the proxy process."""

from __future__ import annotations

import errno
from collections import Counter

from tests.support.clock import FakeClock

from proxyconfig_agent.dataplane.userspace.proxy.routes.endpoints import CLIENTS, Affinity, Rotation, choose
from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import Failures

STEP = 6


def packed(*numbers: int) -> bytes:
    return b"".join(bytes((10, 0, 0, number, 0, 80)) for number in numbers)


def failures(*numbers: int) -> Failures:
    made = Failures(FakeClock().clock.monotonic)
    for number in numbers:
        made.add(packed(number), errno.ECONNREFUSED)
    return made


def test_each_endpoint_has_its_turn_and_a_change_of_the_list_goes_on_where_it_stood() -> None:
    rotation = Rotation(packed(1, 2, 3), STEP)
    assert [rotation.next() for _ in range(4)] == [packed(1), packed(2), packed(3), packed(1)]
    assert rotation.changed(packed(1, 2, 3)) is rotation
    assert rotation.changed(packed(1, 2, 3, 4)).next() == packed(2)
    assert rotation.changed(packed(9)).next() == packed(9)


def test_an_endpoint_that_failed_is_taken_only_if_there_is_no_other_that_was_not_tried() -> None:
    rotation = Rotation(packed(1, 2, 3), STEP)
    assert Counter(choose(rotation, None, failures(2), ()) for _ in range(20)).keys() == {packed(1), packed(3)}
    assert choose(rotation, None, failures(2), (packed(1), packed(3))) == packed(2)
    assert choose(rotation, None, failures(1, 2, 3), ()) is not None
    assert choose(rotation, None, failures(), (packed(1), packed(2), packed(3))) is None
    assert choose(Rotation(b"", STEP), None, failures(), ()) is None


def test_a_preferred_endpoint_is_taken_unless_it_failed_or_has_left_the_list() -> None:
    rotation = Rotation(packed(1, 2), STEP)
    assert {choose(rotation, packed(2), failures(), ()) for _ in range(4)} == {packed(2)}
    assert choose(rotation, packed(2), failures(2), ()) == packed(1)
    assert choose(rotation, packed(2), failures(), (packed(2),)) == packed(1)
    assert choose(rotation, packed(9), failures(), ()) in (packed(1), packed(2))


def test_affinity_lasts_from_the_last_connection_on_and_remembers_so_many_clients() -> None:
    clock = FakeClock()
    affinity = Affinity(clock.clock.monotonic)
    affinity.put("10.0.0.1", packed(1))
    clock.advance(9)
    assert affinity.get("10.0.0.1", 10) == packed(1)
    affinity.put("10.0.0.1", packed(1))
    clock.advance(9)
    assert affinity.get("10.0.0.1", 10) == packed(1)
    clock.advance(1)
    assert affinity.get("10.0.0.1", 10) is None
    for number in range(CLIENTS + 1):
        affinity.put(str(number), packed(2))
    assert affinity.get("0", 10) is None
    assert affinity.get("1", 10) == packed(2)
