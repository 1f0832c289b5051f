"""A node that the real kube-proxy ran: the agent takes it over as it is, rule by rule, and writes only what changes from then on."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from tests.kernel.iptables.comparison import Laboratory
from tests.kernel.iptables.generated import Generator
from tests.kernel.iptables.settings import Setting
from tests.kernel.iptables.sides import BACKENDS, Side, agent, kube_proxy, side
from tests.support.polling import eventually

from proxyconfig_agent.dataplane.modes.ownership import Ownership

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(300)]

SETTING = Setting("adoption")
A_FEW = 20
"""Rules of one Service port, in both families together."""
_COUNTED = re.compile(r"\[\d+:\d+\]|packets \d+ bytes \d+")


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_that_kube_proxy_left_is_written_again(laboratory: Laboratory, backend: str) -> None:
    drawn = Generator(seed=6)
    drawn.add(100)
    laboratory.api.put(drawn.objects())
    with side(laboratory.control_plane, "node", backend) as place:
        with kube_proxy(laboratory.control_plane, place, SETTING, laboratory.folder):
            # kube-proxy may have synced before it was told of its zone: it was by now, and what is new from now on comes with that.
            place.tables(laboratory.api.put(drawn.objects()))
        before = rules(place)
        with agent(laboratory.control_plane, place, SETTING, laboratory.folder):
            eventually(lambda: place.namespace.call(_owned), within_s=60)
            assert rules(place) == before
            place.tables(laboratory.api.put(drawn.objects()))
            changed = before - rules(place)
    assert before.total() > 1000
    assert 0 < changed.total() <= A_FEW


def _owned() -> bool:
    """Whether an agent has done a full sync here."""
    return bool(Ownership())


def rules(place: Side) -> Counter[str]:
    """The rules, with the kernel's numbers of them where it has any: one that is written again has another number."""
    listed = place.namespace.run("nft", "-a", "list", "ruleset") if place.backend == "nft" else place.save(4) + place.save(6)
    lines = (_COUNTED.sub("", line).strip() for line in listed.splitlines())
    return Counter(line for line in lines if not line.startswith(("chain", ":", "#")))
