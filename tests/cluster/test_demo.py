"""`make demo` shows what it says, and leaves nothing behind."""

from __future__ import annotations

import os

import pytest
from tests.cluster import cluster, demo, registry, remains
from tests.cluster.errors import ClusterError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("mode", ["nftables", "iptables"])
def test_the_demo_works_and_ending_it_leaves_nothing(mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    name = f"demo-{os.getpid()}"
    try:
        demo.run(name, 2, mode)
        told = capfd.readouterr().out
        entry = registry.find(cluster.CLUSTERS / name)
        assert entry is not None
    finally:
        cluster.down(name)
    assert "$ kubectl get proxyconfigs" in told
    assert "2/2" in told
    assert "Everything above worked" in told
    assert list(remains.found(entry.number, entry.folder)) == []


def test_a_mode_that_is_not_built_yet_is_refused_in_a_sentence() -> None:
    with pytest.raises(ClusterError, match="MODE=ipvs is not built yet"):
        demo.run("none", 2, "ipvs")
