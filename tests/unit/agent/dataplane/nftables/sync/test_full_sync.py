"""What becomes of the other Services when the kernel refuses one."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import Any

from tests.support.simulator.nftables.canonical import state_of
from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Change, Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables.connection import KernelError
from proxyconfig_agent.netlink.nftables.messages import Message
from proxyconfig_agent.select.frontends import Frontends

FORTY_ELEMENTS = 6_000
POISON = "fd00:96::100"


class Refusing(SimulatedKernel):
    """Takes no transaction that has this address in it."""

    def commit(self, messages: Iterable[Message], *, keep: bool = True) -> int:
        listed = list(messages)
        if any(message.payload.find(ip(POISON)) >= 0 for message in listed):
            raise KernelError(errno.EINVAL, f"set services with {POISON}")
        return super().commit(listed, keep=keep)


def of_both_families(number: int) -> Iterable[Frontends]:
    """A Service port whose IPv6 side has more elements, so that such transactions are full first, and as many endpoints as no other."""
    name, four, six = f"s{number}", f"10.96.0.{number + 1}", f"fd00:96::{number + 0x100:x}"
    yield frontends(name, four, tuple(f"10.244.0.{index + 1}:80" for index in range(1 + number // 2)))
    yield frontends(name, six, tuple(f"[fd00:244::{index + 1:x}]:80" for index in range(3 + number)))


def test_a_refused_service_takes_no_chain_away_that_others_need() -> None:
    kernel = Refusing(FORTY_ELEMENTS)
    wanted = [port for number in range(20) for port in of_both_families(number)]
    outcome = Nftables(kernel).resync(Settings(), wanted)
    assert [refusal.service.name for refusal in outcome.refused] == ["s0"]
    without = SimulatedKernel()
    Nftables(without).resync(Settings(), wanted[2:])
    assert state_of(kernel) == state_of(without)


def test_after_a_refusal_the_whole_table_is_looked_at_again() -> None:
    dataplane = Nftables(Refusing())
    dataplane.resync(Settings(), [])
    assert not dataplane.disturbed()
    outcome = dataplane.apply(Change(None, port) for number in range(3) for port in of_both_families(number))
    assert [refusal.service.name for refusal in outcome.refused] == ["s0"]
    assert dataplane.disturbed()


class Counting(dict[Any, Any]):
    """How often somebody went through all of it."""

    passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        return super().__iter__()


def test_after_one_refusal_the_table_is_gone_through_for_the_refused_service_alone() -> None:
    dataplane = Nftables(Refusing())
    dataplane.resync(Settings(), [])
    records = Counting()
    dataplane._tables[Family.IPV6].records = records
    outcome = dataplane.apply([Change(None, port) for number in range(30) for port in of_both_families(number)])
    assert [refusal.service.name for refusal in outcome.refused] == ["s0"]
    assert records.passes == 1
