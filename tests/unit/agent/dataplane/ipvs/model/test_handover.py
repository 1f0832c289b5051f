"""Which connections are handed over, and what the guard drops."""

from __future__ import annotations

import socket

import pytest
from tests.unit.agent.dataplane.nftables.frontends import ip

from proxyconfig_agent.dataplane.ipvs.model.handover import guarding, kept_by_ipvs
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.conntrack.entries import Direction, End, Entry
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer

CLIENT, SERVICE, POD, NODE = (End(ip(address), 80) for address in ("10.244.0.10", "10.96.0.1", "10.244.0.11", "10.244.0.1"))
OURS = {VirtualServer(Protocol.TCP, *SERVICE)}
ESTABLISHED, FIN_WAIT, TIME_WAIT, CLOSE = 3, 4, 7, 8


def entry(to: End = SERVICE, pod: End = POD, seen: End = CLIENT, status: int = 0xE, state: int = ESTABLISHED) -> Entry:
    return Entry(socket.IPPROTO_TCP, Direction(CLIENT, to), Direction(pod, seen), status, state, {})


@pytest.mark.parametrize(
    "kept", [entry(), entry(seen=NODE, status=0xE | 1 << 4), entry(state=FIN_WAIT), entry(status=0x8, state=1)], ids=str
)
def test_what_ipvs_alone_translates_is_handed_over(kept: Entry) -> None:
    assert list(kept_by_ipvs([kept], OURS)) == [kept]


@pytest.mark.parametrize(
    "other",
    [
        entry(status=0xE | uapi.IPS_DST_NAT),
        entry(pod=SERVICE),
        entry(to=End(SERVICE.address, 81)),
        entry()._replace(protocol=Protocol.SCTP),
        entry(state=TIME_WAIT),
        entry(state=CLOSE),
    ],
    ids=["translated by rules", "untranslated", "another port", "another protocol", "ended", "reset"],
)
def test_all_else_is_left_alone(other: Entry) -> None:
    assert list(kept_by_ipvs([other], OURS)) == []


def test_the_guard_has_exactly_the_packets_of_these_connections_in_both_directions() -> None:
    (flows,) = guarding([entry(seen=NODE)], Family.IPV4).elements.values()
    ports = (80).to_bytes(2) * 2
    assert set(flows) == {CLIENT.address + SERVICE.address + ports, POD.address + NODE.address + ports}
