"""The tables of the agent's state: what waits, what is programmed, what is rejected, and what a sync makes of them."""

from __future__ import annotations

import dataclasses

from msgspec.structs import replace
from tests.unit.agent.examples import NODE, ip, piece, ready, service

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.state.batch import changes_of, everything
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.pending import Pending
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.state.rejections import Rejections
from proxyconfig_agent.state.settlement import Settlement

WEB, OTHER = ServiceName("shop", "web"), ServiceName("shop", "other")


class Tables:
    """A cluster of two Services with one endpoint each."""

    def __init__(self) -> None:
        self.cluster, self.programmed, self.rejections = ClusterState(NODE), Programmed(), Rejections()
        self.settlement = Settlement(self.programmed, self.rejections)
        for number, name in enumerate((WEB, OTHER)):
            self.cluster.put_service(service(name.name, f"10.96.0.{number + 1}", health_check_node_port=30000 + number))
            self.cluster.put_slice(piece((f"10.0.0.{number + 1}", ready("here")), of=name.name, name=f"{name.name}-1"))

    def sync(self, *refused: Refusal) -> list[Refusal]:
        batch = changes_of(self.cluster.pending.take(), self.cluster.view(), self.programmed)
        return [fault for faults in self.settlement.settle(batch.wanted, refused) for fault in faults]


def test_what_is_marked_during_a_sync_waits_for_the_next_one() -> None:
    pending = Pending()
    pending.mark(WEB, {Family.IPV4: 2.0})
    pending.mark(WEB, {Family.IPV4: 3.0, Family.IPV6: 4.0})
    taken = pending.take()
    pending.mark(OTHER)
    assert taken == {WEB: {Family.IPV4: 2.0, Family.IPV6: 4.0}}
    assert list(pending) == [OTHER]


def test_a_snapshot_is_not_changed_by_what_comes_later() -> None:
    tables = Tables()
    tables.cluster.put_service(service("rival", "10.96.0.9", external_ips=(ip("192.0.2.1"),), created="2026-02-01T00:00:00Z"))
    snapshot = tables.cluster.snapshot()
    before = [snapshot.select(name) for name in snapshot.names()]
    older = service("older", "10.96.0.8", external_ips=(ip("192.0.2.1"),), created="2026-01-01T00:00:00Z")
    tables.cluster.put_service(older)
    tables.cluster.drop_service(WEB)
    tables.cluster.put_slice(piece(of="other", name="other-1"))
    tables.cluster.set_aside(OTHER, "cannot be decoded")
    assert [snapshot.select(name) for name in snapshot.names()] == before
    assert tables.cluster.snapshot().select(ServiceName("shop", "rival")).ports[0].external_ips == ()


def test_programmed_services_are_counted() -> None:
    tables = Tables()
    tables.sync()
    assert (tables.programmed.ports, tables.programmed.endpoints) == (2, 2)
    tables.cluster.drop_service(WEB)
    tables.sync()
    assert (tables.programmed.ports, tables.programmed.endpoints) == (1, 1)
    tables.programmed.clear()
    assert (tables.programmed.ports, tables.programmed.endpoints, list(tables.programmed.frontends())) == (0, 0, [])


def test_an_audit_expects_of_services_that_wait_what_is_programmed() -> None:
    tables = Tables()
    tables.sync()
    programmed = tables.programmed.of(WEB)
    tables.cluster.put_slice(piece(("10.0.0.9", ready()), of="web", name="web-1"))
    wanted = everything(tables.cluster.snapshot(), tables.programmed, frozenset(tables.cluster.pending))
    assert wanted.kept == {WEB: programmed}
    assert set(wanted.wanted) == {OTHER}
    assert {port.name.service for port in wanted.ports()} == {WEB, OTHER}


def test_ports_that_are_programmed_already_are_the_same_objects_in_a_full_sync() -> None:
    tables = Tables()
    tables.sync()
    wanted = everything(tables.cluster.snapshot(), tables.programmed)
    assert all(one.ports is tables.programmed.of(name) for name, one in wanted.wanted.items())


def test_a_refused_service_is_not_programmed_and_has_no_endpoint_for_load_balancers() -> None:
    tables = Tables()
    tables.sync(Refusal(WEB, "no room"))
    assert tables.programmed.of(WEB) == ()
    assert {str(check.service): check.local_endpoints for check in tables.programmed.health_checks()} == {"shop/web": 0, "shop/other": 1}
    assert [(refusal.service, refusal.reason) for refusal in tables.rejections.all()] == [(WEB, "no room")]
    tables.cluster.mark([WEB])
    tables.sync()
    assert tables.rejections.all() == ()
    assert len(tables.programmed.of(WEB)) == 1


def test_a_full_sync_forgets_services_that_are_gone_and_a_refused_one_that_was_kept() -> None:
    tables = Tables()
    tables.sync()
    tables.cluster.put_slice(piece(("10.0.0.9", ready()), of="web", name="web-1"))
    keep = frozenset(tables.cluster.pending)
    list(tables.settlement.settle_all(everything(tables.cluster.snapshot(), tables.programmed, keep), [Refusal(WEB, "no room")]))
    assert tables.programmed.of(WEB) == ()
    assert len(tables.programmed.of(OTHER)) == 1
    tables.cluster.drop_service(OTHER)
    list(tables.settlement.settle_all(everything(tables.cluster.snapshot(), tables.programmed), []))
    assert tables.programmed.of(OTHER) == ()


def test_a_fault_of_the_agent_is_new_once() -> None:
    tables = Tables()
    fault = Refusal(WEB, "KeyError", trace="Traceback")
    assert tables.sync(fault) == [fault]
    tables.cluster.mark([WEB])
    assert tables.sync(fault) == []
    tables.cluster.mark([WEB])
    other = dataclasses.replace(fault, reason="struct.error")
    assert tables.sync(other) == [other]


def test_a_service_that_is_refused_partly_stays_so_until_the_data_plane_says_otherwise() -> None:
    tables = Tables()
    partly = Refusal(WEB, "the kernel has no scheduler twos", partly=True)
    tables.sync(partly)
    tables.cluster.mark([WEB, OTHER])
    tables.sync()
    assert tables.rejections.all() == (partly,)
    tables.cluster.put_slice(piece(("10.0.0.9", ready()), of="web", name="web-1"))
    tables.sync()
    assert tables.rejections.all() == ()
    tables.sync(partly)
    list(tables.settlement.settle_all(everything(tables.cluster.snapshot(), tables.programmed), []))
    assert tables.rejections.all() == ()


def test_a_service_that_was_never_decodable_is_named_and_is_gone_with_a_list_that_lacks_it() -> None:
    cluster = ClusterState(NODE)
    cluster.set_aside(WEB, "cannot be decoded")
    assert WEB in cluster.service_names()
    assert cluster.view().select(WEB).rejected == ("cannot be decoded",)
    cluster.drop_service(WEB)
    assert list(cluster.view().names()) == []


def test_a_service_that_the_agent_cannot_select_for_is_set_aside_alone_until_it_changes() -> None:
    tables = Tables()
    sound = tables.cluster.view()
    broken = service("web", ports=("no port",))  # ingest makes none like that
    view = replace(sound, services={**sound.services, WEB: broken})
    for wanted in (changes_of([WEB, OTHER], view, tables.programmed).wanted, everything(view, tables.programmed).wanted):
        list(tables.settlement.settle(wanted, ()))
        (refusal,) = tables.rejections.all()
        assert refusal.service == WEB
        assert refusal.reason.startswith("the agent fails on this Service (AttributeError: ")
        assert "Traceback" in refusal.trace
        assert (tables.programmed.of(WEB), len(tables.programmed.of(OTHER))) == ((), 1)
    list(tables.settlement.settle(changes_of([WEB], sound, tables.programmed).wanted, ()))
    assert tables.rejections.all() == ()
    assert len(tables.programmed.of(WEB)) == 1
