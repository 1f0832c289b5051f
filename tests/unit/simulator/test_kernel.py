"""The simulated nf_tables is as strict as the real one: what that one refuses, it refuses, and nothing of a transaction happens then."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from tests.support.simulator.nftables.kernel import SimulatedKernel

from proxyconfig_agent.dataplane.tables.model.elements import encoded, encoded_key, value_tail, verdict_tail
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.connection import KernelError
from proxyconfig_agent.netlink.nftables.expressions import Verdict
from proxyconfig_agent.netlink.nftables.messages import Kind, Message, Table

TABLE = Table(2, "t")
MAP: dict[str, Any] = {"flags": 8, "key": (4, 4), "value": (4, 4), "fields": (), "size": 0, "userdata": b"", "identifier": 1}
JUMPS: dict[str, Any] = MAP | {"value": (0xFFFFFF00, 16), "identifier": 2}
ONE, TWO, THREE = bytes((0, 0, 0, 1)), bytes((0, 0, 0, 2)), bytes((0, 0, 0, 3))


def element(kind: Kind, name: str, octets: bytes) -> Message:
    return next(iter(wire.element_messages(kind, TABLE, name, [octets])))


def added(key: bytes, tail: bytes) -> bytes:
    return encoded([(key, tail)])[0]


@pytest.fixture
def kernel() -> SimulatedKernel:
    """A table with two chains, one of which leads to the other, and two maps."""
    made = SimulatedKernel()
    made.commit(
        [
            wire.new_table(TABLE, b""),
            wire.new_chain(TABLE, "from"),
            wire.new_chain(TABLE, "to"),
            wire.new_set(TABLE, "numbers", **MAP),
            wire.new_set(TABLE, "jumps", **JUMPS),
            wire.new_rule(TABLE, "from", x.verdict(Verdict.JUMP, "to") + x.immediate(ONE, 0) + x.lookup("numbers", 0, 0), b""),
            element(Kind.NEW_ELEMENTS, "numbers", added(ONE, value_tail(ONE))),
        ]
    )
    return made


@pytest.mark.parametrize(
    ("message", "number"),
    [
        pytest.param(element(Kind.NEW_ELEMENTS, "numbers", added(ONE, value_tail(TWO))), errno.EEXIST, id="another-value-for-a-key"),
        pytest.param(element(Kind.DELETE_ELEMENTS, "numbers", encoded_key(THREE, b"")), errno.ENOENT, id="deleting-what-is-not-there"),
        pytest.param(
            element(Kind.NEW_ELEMENTS, "jumps", added(ONE, verdict_tail("none"))), errno.ENOENT, id="an-element-that-leads-nowhere"
        ),
        pytest.param(wire.new_rule(TABLE, "to", x.verdict(Verdict.GOTO, "none"), b""), errno.ENOENT, id="a-rule-that-leads-nowhere"),
        pytest.param(wire.delete_chain(TABLE, "to"), errno.EBUSY, id="deleting-a-chain-that-a-rule-leads-to"),
        pytest.param(wire.delete_set(TABLE, "numbers"), errno.EBUSY, id="deleting-a-set-that-a-rule-uses"),
        pytest.param(wire.new_chain(Table(10, "t"), "any"), errno.ENOENT, id="a-chain-in-no-table"),
        pytest.param(wire.new_base_chain(TABLE, "to", "nat", 0, 0), errno.EEXIST, id="another-hook-for-a-chain"),
    ],
)
def test_it_refuses(kernel: SimulatedKernel, message: Message, number: int) -> None:
    before = kernel.tables
    with pytest.raises(KernelError) as refusal:
        kernel.commit([element(Kind.NEW_ELEMENTS, "numbers", added(TWO, value_tail(TWO))), message])
    assert refusal.value.number == number
    assert kernel.tables is before
    assert list(kernel.tables[2, "t"].sets["numbers"].elements) == [ONE]


def test_the_same_element_again_is_no_error(kernel: SimulatedKernel) -> None:
    kernel.commit([element(Kind.NEW_ELEMENTS, "numbers", added(ONE, value_tail(ONE)))])


def test_a_value_is_exchanged_by_deleting_first(kernel: SimulatedKernel) -> None:
    kernel.commit(
        [
            element(Kind.DELETE_ELEMENTS, "numbers", encoded_key(ONE, b"")),
            element(Kind.NEW_ELEMENTS, "numbers", added(ONE, value_tail(TWO))),
        ]
    )
    assert kernel.tables[2, "t"].sets["numbers"].elements[ONE].value == TWO


def test_what_is_only_checked_is_forgotten(kernel: SimulatedKernel) -> None:
    before, generation = kernel.tables, kernel.generation()
    kernel.commit([wire.delete_table(TABLE)], keep=False)
    assert kernel.tables is before
    assert kernel.generation() == generation
