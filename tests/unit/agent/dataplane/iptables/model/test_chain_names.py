"""Names of chains: those that kube-proxy gives."""

from __future__ import annotations

import re

import pytest

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.ingest.model import Protocol, ServiceName
from proxyconfig_agent.select.frontends import PortName

P80 = PortName(ServiceName("ns1", "svc1"), "p80", Protocol.TCP)


def test_hashes_are_kube_proxys() -> None:
    assert chain_names.hash_of(P80) == "XPGD46QRK7WJZT7O"
    assert chain_names.endpoint_chains(P80, ["10.180.0.1:80"]) == ["KUBE-SEP-SXIVWICOYRO3J4NJ"]


def test_ports_of_one_number_and_two_protocols_have_chains_of_their_own() -> None:
    udp = PortName(P80.service, P80.port, Protocol.UDP)
    assert chain_names.hash_of(udp) != chain_names.hash_of(P80)
    assert chain_names.endpoint_chains(udp, ["10.180.0.1:80"]) != chain_names.endpoint_chains(P80, ["10.180.0.1:80"])


@pytest.mark.parametrize(
    ("chain", "ours"),
    [("KUBE-SVC-XPGD46QRK7WJZT7O", True), ("KUBE-FW-XPGD46QRK7WJZT7O", True), ("KUBE-SERVICES", False), ("CNI-HOSTPORT", False)],
)
def test_chains_of_services_are_known_by_their_prefix(chain: str, ours: bool) -> None:
    assert chain_names.is_of_service(chain) is ours


def test_the_kubelets_chain_is_not_ours_to_take_away() -> None:
    assert Chain(Table.FILTER, "KUBE-FIREWALL") not in chain_names.FIXED


@pytest.mark.parametrize("bad", ['a"', "a\n-A INPUT -j DROP", "b -j ACCEPT", "a\0b", "ü\\"])
def test_no_name_can_end_a_comment_or_a_line(bad: str) -> None:
    for name in (PortName(ServiceName(bad, "n"), "p", Protocol.TCP), PortName(ServiceName("n", bad), bad, Protocol.TCP)):
        assert re.fullmatch(r"[\w./:?-]+", chain_names.words_of(name), re.ASCII)
    assert chain_names.words_of(PortName(ServiceName("kube-system", "x.y_z"), "p-1", Protocol.TCP)) == "kube-system/x.y_z:p-1"
