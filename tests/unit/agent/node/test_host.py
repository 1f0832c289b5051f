"""A spec's wishes for the node, put together and done."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from proxyconfig_agent.dataplane.iptables.mode import ROUTE_LOCALNET
from proxyconfig_agent.dataplane.ipvs.mode import NEEDED, STRICT_ARP
from proxyconfig_agent.node.host import Host, sysctls_of
from proxyconfig_agent.node.modules.module_states import Modules
from proxyconfig_agent.node.sysctls.procsys import Ledger
from proxyconfig_agent.state.findings import Topic
from proxyconfig_api.spec.sections import Ipvs, Kernel, Mode, ProxyConfigSpec

MAX = "net.netfilter.nf_conntrack_max"
BUCKETS = "net.netfilter.nf_conntrack_buckets"


@dataclasses.dataclass
class FakeKernel:
    values: dict[str, str]

    def read(self, name: str) -> str:
        try:
            return self.values[name]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    def write(self, name: str, value: str) -> None:
        self.values[name] = value


@pytest.fixture
def kernel() -> FakeKernel:
    timeouts = {f"net.netfilter.nf_conntrack_tcp_timeout_{name}": "1" for name in ("established", "close_wait")}
    return FakeKernel({MAX: "1", BUCKETS: "1", "net.ipv4.ip_forward": "0"} | timeouts)


def host_of(kernel: FakeKernel, directory: Path) -> Host:
    return Host(kernel, Ledger(directory, 1), lambda: Modules("6.1", loaded=frozenset({"nf_conntrack"}), built_in=None))


def test_a_sysctl_that_is_written_beats_one_that_follows() -> None:
    spec = ProxyConfigSpec(kernel=Kernel(sysctls={BUCKETS: "7"}))
    assert [each.value for each in sysctls_of(spec, 2) if each.name == BUCKETS] == ["7"]


def test_loopback_is_routed_only_where_it_serves_node_ports() -> None:
    asked = [sysctls_of(ProxyConfigSpec(mode=mode), 2) for mode in (Mode.IPTABLES, Mode.NFTABLES)]
    assert [[each.value for each in of_mode if each.name == ROUTE_LOCALNET] for of_mode in asked] == [["1"], []]


def test_configure_and_restore_leave_nothing_behind(kernel: FakeKernel, tmp_path: Path) -> None:
    before = dict(kernel.values)
    spec = ProxyConfigSpec(kernel=Kernel(sysctls={"net.ipv4.ip_forward": "1"}))
    assert host_of(kernel, tmp_path).configure(spec).findings == ()
    assert kernel.values["net.ipv4.ip_forward"] == "1"
    assert int(kernel.values[MAX]) >= 131072
    assert host_of(kernel, tmp_path).restore() == ()
    assert kernel.values == before


def test_what_connections_of_ipvs_mode_need_is_restored_when_no_other_mode_is_left(kernel: FakeKernel, tmp_path: Path) -> None:
    kernel.values |= dict.fromkeys(NEEDED, "0")
    before = dict(kernel.values)
    host_of(kernel, tmp_path).configure(ProxyConfigSpec(mode=Mode.IPVS))
    restarted = host_of(kernel, tmp_path)
    restarted.configure(ProxyConfigSpec(), alone=False)
    assert {kernel.values[name] for name in NEEDED} == {"1"}
    restarted.configure(ProxyConfigSpec(), alone=True)
    assert {kernel.values[name] for name in NEEDED} == {"0"}
    restarted.restore()
    assert kernel.values == before


def test_strict_arp_is_restored_at_once_when_the_spec_does_without(kernel: FakeKernel, tmp_path: Path) -> None:
    kernel.values |= dict.fromkeys((*NEEDED, *STRICT_ARP), "0")
    node = host_of(kernel, tmp_path)
    node.configure(ProxyConfigSpec(mode=Mode.IPVS, ipvs=Ipvs(strict_arp=True)))
    assert {name: kernel.values[name] for name in STRICT_ARP} == STRICT_ARP
    node.configure(ProxyConfigSpec(mode=Mode.IPVS), alone=False)
    assert {kernel.values[name] for name in STRICT_ARP} == {"0"}


def test_each_wish_that_fails_is_told_under_its_condition(kernel: FakeKernel, tmp_path: Path) -> None:
    del kernel.values[MAX]
    spec = ProxyConfigSpec(kernel=Kernel(modules=("br_netfilter",), sysctls={"net.bridge.bridge-nf-call-iptables": "1"}))
    findings = host_of(kernel, tmp_path).configure(spec).findings
    assert {finding.topic for finding in findings} == {Topic.MODULES, Topic.CONNTRACK, Topic.SYSCTLS}
