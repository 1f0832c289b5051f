"""A family that cannot be served is probed again at each full resync, and none that is served."""

from __future__ import annotations

from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.dataplane.modes.family_probe import FamilyProbe
from proxyconfig_agent.dataplane.port import DataplaneError, ProbeResult, Settings
from proxyconfig_agent.ingest.model import Family

PORTS = [frontends(cluster=("10.244.0.1:80",))]
LACK = {Family.IPV6: "fib is missing"}


class Plane(FakeDataplane):
    """`broken`: the kernel has no memory for a probe."""

    broken = False

    def probe(self) -> ProbeResult:
        self.calls.append("probe")
        if self.broken:
            raise DataplaneError("no memory")
        return super().probe()


def test_a_family_is_served_from_the_full_resync_on_that_finds_what_it_lacked() -> None:
    plane = Plane()
    plane.unserved = dict(LACK)
    mode = FamilyProbe(plane)
    assert mode.probe().served == (Family.IPV4,)
    assert mode.resync(Settings(), PORTS).probed == ProbeResult({"fake": "yes"}, LACK)
    plane.unserved = {}
    probed = mode.resync(Settings(), PORTS).probed
    assert probed is not None
    assert probed.served == tuple(Family)
    assert plane.calls[-2:] == ["probe", "resync"]
    assert mode.resync(Settings(), PORTS).probed is None
    assert plane.calls[-2:] == ["resync", "resync"]


def test_services_are_programmed_where_a_probe_fails() -> None:
    plane = Plane()
    plane.unserved = dict(LACK)
    mode = FamilyProbe(plane)
    mode.probe()
    plane.broken = True
    assert mode.resync(Settings(), PORTS).probed == ProbeResult({"fake": "yes"}, LACK)
    assert plane.state
