"""Commits of others are noticed by the number of the ruleset, and our own are not taken for theirs."""

from __future__ import annotations

import errno

import pytest
from tests.support.simulator.nftables.kernel import SimulatedKernel

from proxyconfig_agent.dataplane.nftables.model.table import table_of
from proxyconfig_agent.dataplane.tables.kernel.generation import Writer
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables.connection import KernelError
from proxyconfig_agent.netlink.nftables.messages import new_chain, new_table

TABLE = table_of(Family.IPV4)
OURS, CHAIN, FOREIGN = new_table(TABLE, b""), new_chain(TABLE, "ours"), new_table(table_of(Family.IPV6), b"")


@pytest.fixture
def kernel() -> SimulatedKernel:
    return SimulatedKernel()


@pytest.fixture
def writer(kernel: SimulatedKernel) -> Writer:
    """One that has read the kernel's tables."""
    made = Writer(kernel)
    with made.begin_read():
        pass
    return made


def refuse() -> None:
    raise KernelError(errno.ENOSPC, "a transaction")


def test_tables_that_were_never_read_count_as_changed(kernel: SimulatedKernel) -> None:
    writer = Writer(kernel)
    assert writer.changed_externally()
    assert writer.changed_externally(), "until they are read"
    with writer.begin_read():
        pass
    assert not writer.changed_externally()


def test_our_own_commits_are_no_external_change(writer: Writer) -> None:
    writer.commit([OURS])
    writer.commit([CHAIN])
    writer.commit([])
    assert not writer.changed_externally()


def test_a_commit_of_somebody_else_is_an_external_change_once(kernel: SimulatedKernel, writer: Writer) -> None:
    writer.commit([OURS])
    kernel.commit([FOREIGN])
    writer.commit([CHAIN])
    assert writer.changed_externally()
    assert not writer.changed_externally()


def test_a_commit_that_the_kernel_refuses_changes_nothing(kernel: SimulatedKernel, writer: Writer) -> None:
    kernel.before_commit = refuse
    with pytest.raises(KernelError):
        writer.commit([OURS])
    assert not writer.attempt([OURS])
    assert not writer.changed_externally()


def test_a_transaction_that_may_fail_says_whether_it_did_not(writer: Writer) -> None:
    assert writer.attempt([OURS])
    assert not writer.changed_externally()


def test_a_read_that_fails_halfway_leaves_the_tables_changed(writer: Writer) -> None:
    with pytest.raises(KernelError), writer.begin_read():
        refuse()
    assert writer.changed_externally()


def test_what_is_invalidated_stays_so_whatever_is_committed(writer: Writer) -> None:
    writer.invalidate()
    writer.commit([OURS])
    assert writer.changed_externally()


def test_a_commit_of_another_writer_of_this_agent_is_none(kernel: SimulatedKernel, writer: Writer) -> None:
    other = Writer(kernel)
    with other.begin_read():
        pass
    writer.join(other)
    writer.commit([OURS])
    other.commit([CHAIN])
    assert not writer.changed_externally()
    assert not other.changed_externally()
