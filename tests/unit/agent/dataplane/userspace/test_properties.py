"""Whatever Services there were before: rules and proxy process have the desired state, and no rule leads where the process has nobody."""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.agent.dataplane.iptables.listing import SETTINGS
from tests.unit.agent.dataplane.iptables.test_delta import ports
from tests.unit.agent.dataplane.userspace.test_redirection import ENTRANCES

from proxyconfig_agent.dataplane.combined.redirection import TO_PROCESS, redirected
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features
from proxyconfig_agent.dataplane.tables.model.elements import verdict_tail
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.dataplane.userspace.lower import route_of
from proxyconfig_agent.dataplane.userspace.model import maps
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import Routes
from proxyconfig_agent.dataplane.userspace.table.state import FamilyState, Plan
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.select.frontends import Frontends

Wanted = tuple[Frontends | None, ...]
wanted_ports = st.tuples(*map(ports, (1, 2, 3)))
MAPS = {maps.SERVICES, maps.NODEPORTS}


class Programmed(NamedTuple):
    """What plans have come to."""

    elements: Elements
    routes: dict[str, Route]

    def held(self) -> Elements:
        return {name: some for name, some in self.elements.items() if some}

    def carry_out(self, plan: Plan) -> None:
        for name, some in plan.elements.deleted.items():
            for key, tail in some.items():
                assert self.elements.get(name, {}).pop(key) == tail
        for name, some in plan.elements.added.items():
            assert not self.elements.get(name, {}).keys() & some.keys()
            self.elements.setdefault(name, {}).update(some)
        for identity, route in plan.routes.items():
            self.routes.pop(identity, None)
            if route is not None:
                self.routes[identity] = route


def changed(state: FamilyState, programmed: Programmed, wanted: Wanted) -> Plan:
    there = {port.name: port for port in wanted if port is not None}
    plan = state.plan({**dict.fromkeys(state.ports), **there})
    programmed.carry_out(plan)
    state.keep(plan)
    return plan


@given(st.lists(wanted_ports, min_size=1, max_size=4))
def test_the_end_does_not_depend_on_what_was_before(history: list[Wanted]) -> None:
    state, programmed = FamilyState(Family.IPV4, SETTINGS), Programmed({}, {})
    for wanted in history:
        changed(state, programmed, wanted)
    fresh = Programmed({}, {})
    changed(FamilyState(Family.IPV4, SETTINGS), fresh, history[-1])
    assert programmed.held() == fresh.held()
    assert programmed.routes == fresh.routes
    assert len(changed(state, programmed, history[-1])) == 0


@given(wanted_ports)
def test_no_rule_leads_to_a_list_that_the_process_does_not_have(wanted: Wanted) -> None:
    programmed = Programmed({}, {})
    changed(FamilyState(Family.IPV4, SETTINGS), programmed, wanted)
    routes = Routes(lambda: next(clock))
    for route in programmed.routes.values():
        routes.put(route)
    for name in MAPS & programmed.elements.keys():
        for key, tail in programmed.elements[name].items():
            port = routes.find(Family.IPV4, Protocol.TCP, key[:4] + key[8:10] if name == maps.SERVICES else bytes(4) + key[4:6])
            assert port is not None
            by_local = tail.startswith((verdict_tail(maps.LOCAL), verdict_tail(maps.EXTERNAL_LOCAL)))
            assert len(port.local if by_local else port.cluster) > 0


@given(ports(1))
def test_chains_of_iptables_translate_to_lists_that_the_process_has(port: Frontends | None) -> None:
    if port is None:
        return
    made = TO_PROCESS.lower(redirected(port, ENTRANCES), SETTINGS, Features(), large=False)
    targets = {rule.rpartition(":")[2] for own in made.own.values() for rule in own if "-j DNAT" in rule}
    route = route_of(port)
    lists = {"40000": route.cluster, "40001": route.local} if route else {}
    assert targets == {number for number, endpoints in lists.items() if endpoints}


clock = map(float, count())
