"""A mode that is held beside another one: which of them answers is decided by the agent, and going back loses no change.

Each mode has another endpoint for the same Service, so the answer tells whose rules a packet met.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import pytest
from tests.kernel.in_namespace import Entered
from tests.support.netns.peers import Prober, echoing, probing
from tests.support.netns.topology import NODE_LINK, PODS, PODS2, Topology, topology
from tests.support.polling import eventually
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.modes import modes
from proxyconfig_agent.dataplane.modes.takeover import Takeover
from proxyconfig_agent.dataplane.port import Change, Lifecycle, Settings
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_api.spec.sections import Mode

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

MODES = (Mode.NFTABLES, Mode.IPTABLES, Mode.USERSPACE)
PAIRS = list(itertools.permutations(MODES, 2))
ENDPOINTS = {"near1": PODS["near1"], "near2": PODS["near2"], "far1": PODS2["far1"]}
VIPS = {4: "10.96.0.10", 6: "fd00:10:96::10"}
SETTINGS = Settings(proxy_addresses=tuple(map(ip, NODE_LINK.both)))


def services(pod: str) -> list[Frontends]:
    """One Service in both families, with one endpoint."""
    v4, v6 = f"{ENDPOINTS[pod].v4}:8080", f"[{ENDPOINTS[pod].v6}]:8080"
    return [frontends(cluster_ip=VIPS[4], cluster=(v4,)), frontends(cluster_ip=VIPS[6], cluster=(v6,))]


@pytest.fixture(scope="module")
def world() -> Iterator[Topology]:
    with topology() as made, contextlib.ExitStack() as servers:
        for pod, address in ENDPOINTS.items():
            servers.enter_context(echoing(made[pod], pod, address.both, [8080]))
        yield made


@pytest.fixture(scope="module")
def prober(world: Topology) -> Iterator[Prober]:
    with probing(world["client"]) as client:
        yield client


def answering(prober: Prober) -> set[str]:
    """Who answers new connections to the Service, in both families."""
    answers = prober.ask(
        [{"address": vip, "port": 80, "protocol": "tcp", "attempts": 2, "least": 2, "patience_s": 5} for vip in VIPS.values()]
    )
    return {answer.split()[0] for counts in answers for answer in counts}


def in_namespace(world: Topology, mode: Mode) -> tuple[Takeover, Entered]:
    made = Entered(world.node, modes.spec_of(mode).make)

    def others() -> Iterator[Lifecycle]:
        for other in world.node.call(lambda: list(modes.left_behind(besides=mode))):
            yield Entered(world.node, lambda other=other: other)  # type: ignore[misc]

    return Takeover(made, others), made


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_what_is_held_is_disarmed_kept_up_to_date_and_serves_again_at_once(world: Topology, prober: Prober, old: Mode, new: Mode) -> None:
    before, of_old = in_namespace(world, old)
    after, of_new = in_namespace(world, new)
    try:
        before.resync(SETTINGS, services("near1"))
        assert answering(prober) == {"near1"}
        held = of_old.scan()

        after.hold(before)
        after.resync(SETTINGS, services("near2"))
        assert answering(prober) == {"near2"}
        assert of_old.scan() == held
        assert not after.is_alone()

        of_old.apply(Change(*pair) for pair in zip(services("near1"), services("far1"), strict=True))
        assert answering(prober) == {"near2"}

        of_old.arm()
        of_new.disarm()
        assert answering(prober) == {"far1"}

        before.again()
        before.resync(SETTINGS, services("near1"))
        assert answering(prober) == {"near1"}
        eventually(lambda: before.disturbed() or before.is_alone(), until=lambda _: before.is_alone())
        assert of_new.scan() == []
    finally:
        for mode in (of_new, of_old):
            mode.remove()
            mode.close()


@pytest.mark.parametrize(("old", "new"), list(itertools.pairwise((*MODES, MODES[0]))))
def test_what_is_committed_leaves_nothing_of_the_mode_before(world: Topology, prober: Prober, old: Mode, new: Mode) -> None:
    before, of_old = in_namespace(world, old)
    after, of_new = in_namespace(world, new)
    try:
        before.resync(SETTINGS, services("near1"))
        after.hold(before)
        after.resync(SETTINGS, services("near2"))
        of_old.close()
        after.commit()
        eventually(lambda: after.disturbed() or after.is_alone(), until=lambda _: after.is_alone())
        with contextlib.closing(Entered(world.node, modes.spec_of(old).make)) as nothing:
            assert nothing.scan() == []
        assert answering(prober) == {"near2"}
    finally:
        of_new.remove()
        of_new.close()
