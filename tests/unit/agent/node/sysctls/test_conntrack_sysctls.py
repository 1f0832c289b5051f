"""kube-proxy's scaling rules for the connection tracking table."""

from __future__ import annotations

import pytest

from proxyconfig_agent.node.sysctls.conntrack_sysctls import limit, sysctls_of
from proxyconfig_api.spec.sections import Conntrack
from proxyconfig_api.values.duration import Duration

P = "net.netfilter.nf_conntrack_"


@pytest.mark.parametrize(
    ("per_core", "least", "cores", "entries"),
    [
        pytest.param(0, 999999, 64, 0, id="0 per core leaves it alone, and the minimum with it"),
        pytest.param(32768, 131072, 2, 131072, id="the minimum"),
        pytest.param(32768, 131072, 4, 131072, id="just the minimum"),
        pytest.param(32768, 131072, 8, 262144, id="scaled by cores"),
        pytest.param(32768, 131072, 512, 1 << 20, id="many cores are capped"),
        pytest.param(32768, 2 << 20, 512, 2 << 20, id="a larger minimum is not capped"),
        pytest.param(1, 0, 2, 2, id="no minimum"),
    ],
)
def test_the_limit(per_core: int, least: int, cores: int, entries: int) -> None:
    assert limit(Conntrack(max_per_core=per_core, min=least), cores) == entries


def test_the_defaults_are_kube_proxys() -> None:
    assert [(each.name, each.value, each.at_least) for each in sysctls_of(Conntrack(), 8)] == [
        (f"{P}max", "262144", True),
        (f"{P}buckets", "65536", True),
        (f"{P}tcp_timeout_established", "86400", False),
        (f"{P}tcp_timeout_close_wait", "3600", False),
    ]


def test_zeros_leave_everything_alone() -> None:
    nothing = Duration(0)
    assert sysctls_of(Conntrack(max_per_core=0, tcp_established_timeout=nothing, tcp_close_wait_timeout=nothing), 8) == ()


def test_udp_timeouts_and_be_liberal_only_when_asked_for() -> None:
    spec = Conntrack(max_per_core=0, udp_timeout=Duration(30), udp_stream_timeout=Duration(180), tcp_be_liberal=True)
    assert {each.name.removeprefix(P): each.value for each in sysctls_of(spec, 1)} == {
        "tcp_timeout_established": "86400",
        "tcp_timeout_close_wait": "3600",
        "udp_timeout": "30",
        "udp_timeout_stream": "180",
        "tcp_be_liberal": "1",
    }
