"""The timeouts of IPVS: those of the spec, and what they were before when nothing asks for them any more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.kernels.node import Node

from proxyconfig_agent.netlink.ipvs import messages
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Timeouts
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.node.sysctls.parameters import NodeParameters
from proxyconfig_agent.node.sysctls.procsys import Ledger
from proxyconfig_api.encoding.codec import decode
from proxyconfig_api.spec.sections import ProxyConfigSpec

ORIGINAL = Timeouts(tcp_s=900, tcp_fin_s=120, udp_s=300)
Start = Callable[[], Host]


@pytest.fixture
def kernel(node: Node) -> Iterator[Connection]:
    with contextlib.closing(node.space.call(Connection)) as made:
        assert made.timeouts() == ORIGINAL
        yield made


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A process of the agent after the other, with the same record."""
    return lambda: Host(NodeParameters(Path("/proc/sys")), Ledger(tmp_path, namespace=1))


def spec(mode: str = "ipvs", **timeouts: str) -> ProxyConfigSpec:
    conntrack = {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    return decode({"mode": mode, "ipvs": timeouts, "conntrack": conntrack}, ProxyConfigSpec)


def test_they_are_set_one_by_one_and_put_back_when_the_spec_does_not_name_them(node: Node, kernel: Connection, start: Start) -> None:
    host = start()
    assert node.space.call(lambda: host.configure(spec(tcpTimeout="700s", udpTimeout="50s"))).findings == ()
    assert kernel.timeouts() == Timeouts(700, 120, 50)
    node.space.call(lambda: host.configure(spec(udpTimeout="50s")))
    assert kernel.timeouts() == Timeouts(900, 120, 50)
    node.space.call(host.restore)
    assert kernel.timeouts() == ORIGINAL


def test_another_process_puts_them_back_once_the_mode_has_retired(node: Node, kernel: Connection, start: Start) -> None:
    host = start()
    node.space.call(lambda: host.configure(spec(tcpFinTimeout="30s")))
    node.space.call(lambda: start().configure(spec("nftables"), alone=False))
    assert kernel.timeouts() == Timeouts(900, 30, 300)
    node.space.call(lambda: start().configure(spec("nftables")))
    assert kernel.timeouts() == ORIGINAL


def test_what_somebody_else_has_set_since_stays(node: Node, kernel: Connection, start: Start) -> None:
    node.space.call(lambda: start().configure(spec(udpTimeout="50s")))
    assert kernel.commit([messages.set_timeouts(Timeouts(udp_s=77))]) == []
    node.space.call(lambda: start().restore())
    assert kernel.timeouts() == Timeouts(900, 120, 77)
