"""What is left of a node that is given back, and cannot have nftables mode: the chains of iptables mode, which the real kube-proxy takes
over, and nothing else."""

from __future__ import annotations

import contextlib
import re

import pytest
from tests.kernel.iptables.api import MARK
from tests.kernel.iptables.comparison import Laboratory
from tests.kernel.iptables.generated import Generator
from tests.kernel.iptables.settings import Setting
from tests.kernel.iptables.sides import agent, kube_proxy, side

from proxyconfig_agent.dataplane.modes.modes import departure, left_behind
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.modes.takeover import any_here
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Settings

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(300)]

SETTING = Setting("giving-back")


def test_chains_stay_for_kube_proxy_and_everything_else_goes(laboratory: Laboratory) -> None:
    drawn = Generator(seed=8)
    drawn.add(20)
    mark = laboratory.api.put(drawn.objects())
    with side(laboratory.control_plane, "node", "nft") as place:
        with agent(laboratory.control_plane, place, SETTING, laboratory.folder):
            place.tables(mark)
        before = place.tables(mark)
        place.namespace.call(_own)
        assert place.namespace.call(_given_back) == []
        assert place.tables(mark) == before
        assert "proxyconfig" not in place.namespace.run("nft", "list", "tables")
        assert not place.namespace.call(lambda: any_here(left_behind()))
        with kube_proxy(laboratory.control_plane, place, SETTING, laboratory.folder):
            newer = place.tables(laboratory.api.put(drawn.objects()))
            for family, tables in before.items():
                gone = tables.chains.keys() - newer[family].chains.keys()
                assert {_service(tables.chains[name]) for name in gone} <= {MARK}


def _given_back() -> list[str]:
    leaving = departure(chains_stay=True)
    assert leaving.step(0)
    return leaving.left


def _own() -> None:
    """As the agent has left it, had it not ended in a test; and as if nftables mode had not retired yet."""
    assert Ownership().claim() == ""
    with contextlib.closing(Nftables()) as mode:
        mode.resync(Settings(), ())


def _service(rules: tuple[str, ...]) -> str:
    """Whose a chain is, by the comment of its first rule."""
    found = re.search(r'--comment "?([a-z0-9-]+)/', " ".join(rules))
    return found[1] if found else ""
