"""What is in effect of Service ports, and which addresses get their first reference or lose their last."""

from __future__ import annotations

from collections import Counter

from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.tables.service_ports import References, ServicePorts

ONE, OTHER = ip("10.96.0.1"), ip("10.96.0.2")
PORT = frontends(cluster=("10.244.0.1:80",))
CHANGED = frontends(cluster=("10.244.0.2:80",))


def test_a_service_port_that_is_as_it_was_is_no_change() -> None:
    ports = ServicePorts()
    ports.keep({PORT.name: PORT})
    assert ports.changed({PORT.name: PORT}) == {}
    assert ports.changed({PORT.name: CHANGED}) == {PORT.name: CHANGED}


def test_a_service_that_is_left_out_has_nothing_whatever_is_wanted() -> None:
    ports = ServicePorts()
    assert ports.changed({PORT.name: PORT}, {PORT.name.service}) == {}
    ports.keep({PORT.name: PORT})
    gone = ports.changed({PORT.name: CHANGED}, {PORT.name.service})
    assert gone == {PORT.name: None}
    ports.keep(gone)
    assert ports == {}


def test_only_the_first_reference_and_the_last_turn_an_address() -> None:
    references = References()
    assert references.turned(Counter({ONE: 2, OTHER: 0})) == ([ONE], [])
    references.keep(Counter({ONE: 2, OTHER: 0}))
    assert references.turned(Counter({ONE: -1, OTHER: 1})) == ([OTHER], [])
    references.keep(Counter({ONE: -1, OTHER: 1}))
    swapped = Counter({ONE: -1})
    assert references.turned(swapped) == ([], [ONE])
    references.keep(swapped)
    assert dict(references) == {OTHER: 1}
