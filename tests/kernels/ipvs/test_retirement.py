"""Leaving and entering ipvs mode under traffic: nothing is lost, and nothing is left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernels.ipvs.packets import FAMILIES, SETTINGS, Served, served, service, service_ip
from tests.support.polling import eventually

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import ModeInstance
from proxyconfig_agent.dataplane.takeover import Takeover


@pytest.fixture(scope="module")
def world() -> Iterator[Served]:
    with served() as made:
        yield made


class Passed:
    """A clock that each look moves on by a minute."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        self._seconds += 60
        return self._seconds


@contextlib.contextmanager
def entered(world: Served, make: Callable[[], ModeInstance]) -> Iterator[Entered]:
    made = Entered(world.topology.node, make)
    try:
        yield made
    finally:
        made.remove()
        made.close()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("leave", [True, False], ids=["ipvs-to-nftables", "nftables-to-ipvs"])
def test_a_change_of_the_mode_loses_nothing(world: Served, family: int, leave: bool) -> None:
    ports = [service(family, 1, "near1", "far1")]
    clock = Passed()
    with entered(world, lambda: Ipvs(now=clock)) as ipvs, entered(world, Nftables) as nftables:
        before, after = (ipvs, nftables) if leave else (nftables, ipvs)
        before.resync(SETTINGS, ports)
        mode = Takeover(after, lambda: iter([before]))
        world.probers["outside"].send([{"address": service_ip(family, 1), "port": 80, "for_s": 5, "enough": 1}])
        with world.connected(service_ip(family, 1)) as long:
            mode.resync(SETTINGS, ports)
            (answers,) = world.probers["outside"].receive()
            assert {each.partition(" ")[0] for each in answers} <= {"near1", "far1"}
            mode.disturbed()
            assert bool(before.scan()) is leave
            assert world.answer(long) in ("near1", "far1")

        def gone() -> bool:
            mode.disturbed()
            return not before.scan()

        eventually(gone)
        assert after.resync(SETTINGS, ports).operations == 0
