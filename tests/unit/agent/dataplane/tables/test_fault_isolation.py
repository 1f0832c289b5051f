"""What is left out when a Service cannot be programmed, and what goes in all the same."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable
from typing import cast

import pytest
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.dataplane.port import Change, ConflictError, DataplaneError, Refusal
from proxyconfig_agent.dataplane.sync.batching import Ports
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError
from proxyconfig_agent.dataplane.tables.fault_isolation import FaultIsolation, Wanted
from proxyconfig_agent.dataplane.tables.kernel.generation import Writer
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Message

GOOD, BAD, FAULTY = (frontends(name, f"10.96.0.{number}", ("10.244.0.1:8080",)) for number, name in enumerate(("good", "bad", "faulty"), 1))


class Ruleset:
    """Of the kernel: it never changes but by our commits."""

    def generation(self) -> int:
        return 1

    def commit(self, messages: Iterable[Message]) -> int:
        return len(list(messages))


class Node:
    """Names of Services in place of rules; `bad` is one that nf_tables refuses, `faulty` one that the agent fails on."""

    def __init__(self, number: int = errno.EINVAL) -> None:
        self.services: set[ServiceName] = set()
        self.writer = Writer(cast("Connection", Ruleset()))
        self.stuck = False
        self._number = number

    def plan(self, wanted: Ports, without: Collection[ServiceName]) -> set[ServiceName]:
        names = {name.service for name, new in wanted.items() if new is not None} - set(without)
        if FAULTY.name.service in names or (self.stuck and without):
            raise RefusedError(Refusal(FAULTY.name.service, "the agent fails on this Service"))
        return (self.services | names) - set(without)

    def commit(self, isolation: FaultIsolation[set[ServiceName]], wanted: Wanted) -> int:
        for plan in isolation.plans(wanted).values():
            if BAD.name.service in plan:
                raise KernelError(self._number, "a rule of bad")
            self.services = plan
        return 1

    def isolation(self) -> FaultIsolation[set[ServiceName]]:
        with self.writer.begin_read():
            return FaultIsolation("ipvs", {Family.IPV4: self}, self.writer, self.commit)


def test_what_can_be_programmed_goes_in_beside_what_cannot() -> None:
    node = Node()
    isolation = node.isolation()
    isolation.apply([Change(None, each) for each in (BAD, FAULTY, GOOD)])
    assert node.services == {GOOD.name.service}
    assert set(isolation.refused) == {BAD.name.service, FAULTY.name.service}
    assert isolation.refused[BAD.name.service].reason.startswith("the kernel refused a rule of bad: Invalid argument")


def test_a_table_that_is_gone_is_a_conflict_and_no_fault_of_a_service() -> None:
    node = Node(errno.ENOENT)
    isolation = node.isolation()
    with pytest.raises(ConflictError, match=r"^ipvs: another program changed table proxyconfig-ipvs"):
        isolation.apply([Change(None, BAD)])
    assert isolation.refused == {}
    assert node.writer.changed_externally()


def test_a_service_that_cannot_be_taken_out_is_an_error_of_the_mode() -> None:
    node = Node()
    node.stuck = True
    with pytest.raises(DataplaneError, match=r"^ipvs: shop/faulty cannot be taken out"):
        node.isolation().apply([Change(None, FAULTY)])
    assert node.writer.changed_externally()


def test_another_family_is_left_alone() -> None:
    node = Node()
    six = frontends("six", "fd00::1", ("[fd00::2]:8080",))
    node.isolation().apply([Change(None, six)])
    assert node.services == set()
