"""An input that is read while it is made leads to the same tables as one that is made first."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from tests.support.simulator.iptables.tables import Tables
from tests.unit.agent.dataplane.iptables.test_delta import lowering, ports

from proxyconfig_agent.dataplane.iptables.sync.reconcile import TableDiff
from proxyconfig_agent.dataplane.iptables.tools.restore import Input
from proxyconfig_agent.select.frontends import Frontends


def growing(given: Input, wanted: list[Frontends | None]) -> Iterator[None]:
    """The input of a full resync of a node that has nothing."""
    low = lowering()
    adoption = TableDiff(low.fixed, Tables().saved())
    assert adoption.empty
    given.add(adoption.structure())
    for port in wanted:
        given.add(adoption.port(low.rules(port)))
        yield


@given(st.tuples(*map(ports, range(1, 5))).map(list))
def test_a_new_node_gets_the_same_tables_whether_or_not_its_input_is_read_while_it_is_made(wanted: list[Frontends | None]) -> None:
    at_once, meanwhile = (Input(lowering().fixed.last) for _ in range(2))
    first, second = Tables(), Tables()
    for _ in growing(at_once, wanted):
        pass
    first.commit(at_once)
    second.restore(b"".join(meanwhile.text_while(growing(meanwhile, wanted))).decode())
    assert first.chains == second.chains


def test_what_has_been_read_is_given_up_at_once() -> None:
    text = (given := Input(())).text_while(growing(given, [None] * 3))
    assert next(text) == b"*nat\n"
    assert b":KUBE-SERVICES" in next(text)
    assert list(text)[:3] == [b"", b"", b""]
