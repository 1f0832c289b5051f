"""`make demo` shows what it says, and leaves nothing behind."""

from __future__ import annotations

import os

import pytest
from tests.cluster import cluster, demo, registry, remains
from tests.cluster.errors import ClusterError
from tests.support.netns import ipvs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("mode", ["auto", "userspace"])
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


def test_a_word_that_is_no_mode_is_refused_in_a_sentence() -> None:
    with pytest.raises(ClusterError, match="MODE=ebpf is no mode; there are nftables, iptables"):
        demo.run("none", 2, "ebpf")


@pytest.mark.skipif(ipvs.is_there(), reason="this kernel has IPVS")
def test_ipvs_mode_is_refused_on_a_kernel_without_it_with_the_way_to_see_it() -> None:
    with pytest.raises(ClusterError, match=r"has no IPVS \(module ip_vs, CONFIG_IP_VS\); `make ipvs` shows"):
        demo.run("none", 2, "ipvs")
