"""Which UDP flows are stale, and when the data plane ends them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
from msgspec.structs import replace
from tests.support.polling import soon

from proxyconfig_agent.dataplane.port import Change, DataplaneError, Destination, Outcome, ProbeResult, Refusal, Settings
from proxyconfig_agent.ingest.model import Address, Family, Protocol, ServiceName
from proxyconfig_agent.netlink.frames import attribute, nested
from proxyconfig_agent.node.conntrack.backlog import REMEMBERED
from proxyconfig_agent.node.conntrack.cleaner import BATCH, LOOK_AGAIN_S, LOOKUPS, ConntrackCleaner
from proxyconfig_agent.node.conntrack.ctnetlink import parse
from proxyconfig_agent.node.conntrack.stale import Endpoint, Flow, Lookup, NodePortAddresses, Stale, answering, can_be_stale
from proxyconfig_agent.select.frontends import Backends, Frontends, PortName
from proxyconfig_agent.state.findings import Finding


def address(text: str) -> Address:
    return Address(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))


def end(text: str) -> Endpoint:
    """`10.0.0.1:53` packed."""
    host, _, port = text.rpartition(":")
    return address(host) + int(port).to_bytes(2)


NODE = address("192.0.2.1")


def dns(*serving: str, protocol: Protocol = Protocol.UDP, vip: str = "10.96.0.10", external: str = "", node_port: int = 0) -> Frontends:
    return Frontends(
        name=PortName(ServiceName("kube-system", "kube-dns"), "dns", protocol),
        family=Family.IPV6 if ":" in vip else Family.IPV4,
        port=53,
        cluster_ip=address(vip),
        external_ips=(address(external),) if external else (),
        node_port=node_port,
        serving=Backends(b"".join(map(end, serving))),
    )


def flow(destination: str, answers: str) -> Flow:
    return Flow(end(destination), end(answers), b"")


OLD, NEW, OTHER = "10.244.0.1:53", "10.244.0.2:53", "10.244.0.3:5353"
VIP, ELSEWHERE = "10.96.0.10:53", "198.51.100.1:30053"
SERVES = NodePortAddresses(serving=(NODE,))


def why(change: Change, found: Flow, node: NodePortAddresses = SERVES) -> Stale | None:
    may_answer = answering([change], node).get(Family.IPV4)
    return may_answer.why(found) if may_answer else None


@pytest.mark.parametrize(
    ("change", "found", "reason"),
    [
        pytest.param(Change(dns(OLD), dns(NEW)), flow(VIP, OLD), Stale.ENDPOINT_GONE, id="row-120: the endpoint is gone, or not serving"),
        pytest.param(Change(dns(OLD), dns(NEW)), flow(VIP, NEW), None, id="row-120: the endpoint serves"),
        pytest.param(Change(dns(OLD), dns("10.244.0.1:54")), flow(VIP, OLD), Stale.PORT_CHANGED, id="row-120, row-123: its port changed"),
        pytest.param(Change(dns(), dns(NEW)), flow(VIP, VIP), Stale.UNTRANSLATED, id="row-120: never translated, there was no endpoint"),
        pytest.param(Change(None, dns(NEW)), flow(VIP, VIP), Stale.UNTRANSLATED, id="row-120: never translated, there was no Service"),
        pytest.param(Change(dns(OLD), dns(NEW)), flow("10.96.0.10:54", OLD), None, id="row-120: another port"),
        pytest.param(Change(dns(OLD), dns()), flow(VIP, OLD), Stale.NO_ENDPOINTS, id="row-121 otherwise: no endpoint is left"),
        pytest.param(Change(dns(OLD), None), flow(VIP, OLD), Stale.SERVICE_GONE, id="the Service is gone"),
        pytest.param(Change(dns(OLD), None), flow(VIP, VIP), None, id="the Service is gone, and the flow is somebody else's"),
        pytest.param(Change(dns(OLD), dns(NEW)), flow(OLD, OLD), None, id="straight to the endpoint"),
        pytest.param(
            Change(dns(OLD, external="203.0.113.1"), dns(OLD)), flow("203.0.113.1:53", OLD), Stale.SERVICE_GONE, id="an address is gone"
        ),
        pytest.param(
            Change(dns(OLD), dns(OLD, external="203.0.113.1")),
            flow("203.0.113.1:53", "203.0.113.1:53"),
            Stale.UNTRANSLATED,
            id="a new address",
        ),
        pytest.param(
            Change(dns(OLD, node_port=30053), dns(NEW, node_port=30053)), flow("192.0.2.1:30053", OLD), Stale.ENDPOINT_GONE, id="node port"
        ),
        pytest.param(
            Change(dns(OLD), dns(OLD, node_port=30053)),
            flow("192.0.2.1:30053", "192.0.2.1:30053"),
            Stale.UNTRANSLATED,
            id="a new node port",
        ),
        pytest.param(
            Change(dns(OLD, node_port=30053), dns(NEW, node_port=30053)), flow(ELSEWHERE, OLD), None, id="its number at a foreign host"
        ),
        pytest.param(
            Change(dns(OLD, node_port=30053), dns(NEW, node_port=30053)), flow("127.0.0.1:30053", OLD), None, id="loopback, not served"
        ),
    ],
)
def test_stale_flows(change: Change, found: Flow, reason: Stale | None) -> None:
    assert why(change, found) is reason


def test_node_ports_of_loopback_and_of_addresses_that_no_longer_serve_them() -> None:
    change = Change(dns(OLD, node_port=30053), dns(NEW, node_port=30053))
    node = NodePortAddresses((NODE,), former=(address("192.0.2.2"),), loopback=True)
    assert why(change, flow("127.9.9.9:30053", OLD), node) is Stale.ENDPOINT_GONE
    assert why(change, flow("192.0.2.2:30053", NEW), node) is Stale.SERVICE_GONE


@pytest.mark.parametrize(
    ("change", "look"),
    [
        pytest.param(Change(dns(OLD), dns(OLD, NEW)), False, id="one more endpoint"),
        pytest.param(Change(dns(OLD), dns(OLD)), False, id="nothing about endpoints and addresses"),
        pytest.param(Change(dns(OLD, NEW), dns(OLD)), True, id="one endpoint less"),
        pytest.param(Change(dns(), dns(OLD)), True, id="the first endpoint"),
        pytest.param(Change(dns(OLD), dns(OLD, node_port=30053)), True, id="a node port"),
        pytest.param(Change(None, dns()), True, id="a Service"),
        pytest.param(Change(dns(), None), True, id="a Service less"),
    ],
)
def test_only_changes_that_can_leave_stale_flows_cost_a_look(change: Change, look: bool) -> None:
    assert can_be_stale(change) is look


def test_a_port_is_looked_up_once_and_by_its_address_if_there_is_only_one() -> None:
    changes = [Change(None, dns(OLD, node_port=30053)), Change(None, dns(OLD, vip="10.96.0.11", external="203.0.113.1"))]
    assert sorted(answering(changes, SERVES)[Family.IPV4].lookups()) == [Lookup((53).to_bytes(2)), Lookup((30053).to_bytes(2))]
    assert answering(changes[:1], SERVES)[Family.IPV4].lookups()[-1] == Lookup((53).to_bytes(2), address("10.96.0.10"))


def test_what_an_earlier_agent_served_is_gone_unless_somebody_serves_it_now() -> None:
    abandoned = [Destination(Family.IPV4, address(host), 53) for host in ("10.96.0.9", "10.96.0.10")]
    may_answer = answering([Change(None, dns(NEW))], SERVES, [*abandoned, Destination(Family.IPV4, None, 30053)])[Family.IPV4]
    assert may_answer.why(flow("10.96.0.9:53", OLD)) is Stale.SERVICE_GONE
    assert may_answer.why(flow("192.0.2.1:30053", OLD)) is Stale.SERVICE_GONE
    assert may_answer.why(flow(VIP, NEW)) is None


def test_an_address_that_another_service_took_over_is_served_by_that() -> None:
    for changes in ([Change(dns(OLD), None), Change(None, dns(NEW))], [Change(None, dns(NEW)), Change(dns(OLD), None)]):
        may_answer = answering(changes, SERVES)[Family.IPV4]
        assert (may_answer.why(flow(VIP, NEW)), may_answer.why(flow(VIP, OLD))) == (None, Stale.ENDPOINT_GONE)


def test_families_are_apart() -> None:
    may_answer = answering([Change(None, dns("fd00::1:53", vip="fd00:10::a"))], SERVES)
    assert set(may_answer) == {Family.IPV6}
    assert may_answer[Family.IPV6].why(flow("fd00:10::a:53", "fd00::2:53")) is Stale.ENDPOINT_GONE


@dataclass
class Mode:
    """A data plane that takes everything but what the test has it refuse. `operations` is what each part of a resync takes."""

    operations: int = 0
    refuses: frozenset[str] = frozenset()
    fails: bool = False
    abandoned: tuple[Destination, ...] = ()

    def resync(self, _settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        return Outcome(self.operations, self._refused(list(wanted)), abandoned=self.abandoned)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        if self.fails:
            raise DataplaneError("no such table")
        return Outcome(1, self._refused([change.new for change in changes if change.new]))

    def _refused(self, wanted: Iterable[Frontends]) -> tuple[Refusal, ...]:
        return tuple(Refusal(one.name.service, "taken") for one in wanted if one.name.service.name in self.refuses)

    def probe(self) -> ProbeResult:
        return ProbeResult({})

    def is_slow(self, _changes: Sequence[Change]) -> bool:
        return False

    def disturbed(self) -> bool:
        return False

    def remove(self) -> None: ...

    def close(self) -> None: ...

    def scan(self) -> list[str]:
        return []


class Table:
    """The kernel's flows, and how they were asked for."""

    def __init__(self, *flows: Flow) -> None:
        self.left = list(flows)
        self.lookups = self.dumps = 0
        self.error = 0

    def flows(self, family: Family, lookup: Lookup | None = None) -> list[Flow]:
        if self.error:
            raise OSError(self.error, "no")
        of_family = [flow for flow in self.left if len(flow.destination) == family.size + 2]
        if lookup is None:
            self.dumps += 1
            return of_family
        self.lookups += 1
        return [flow for flow in of_family if flow.destination[-2:] == lookup.port and flow.destination.startswith(lookup.address)]

    def delete(self, family: Family, gone: Sequence[Flow]) -> None:
        assert gone
        for each in gone:
            assert len(each.destination) == family.size + 2
            self.left.remove(each)


class Cleanup(ConntrackCleaner):
    """With everything that it needs, and what it told. Cleans up after each sync. `before` was served when the table was empty."""

    def __init__(self, table: Table, mode: Mode | None = None, *before: Frontends) -> None:
        self.told: list[dict[Stale, int]] = []
        self.findings: list[str] = []
        self.now_s = 0.0
        super().__init__(table, lambda: (), self._tell, self._note, clock=lambda: self.now_s)
        self.mode = mode or Mode()
        left, table.left = table.left, []
        self.resync(before)
        table.left, table.lookups, table.dumps = left, 0, 0
        self.told.clear()

    def resync(self, wanted: Iterable[Frontends], settings: Settings | None = None) -> Outcome:
        outcome = self.after(self.mode).resync(settings or SETTINGS, wanted)
        self.clean()
        return outcome

    def apply(self, *changes: Change) -> Outcome:
        outcome = self.after(self.mode).apply(changes)
        self.clean()
        return outcome

    def _tell(self, _family: Family, reasons: Mapping[Stale, int], _took_s: float) -> None:
        self.told.append(dict(reasons))

    def _note(self, finding: Finding | None) -> None:
        self.findings.append(finding.reason if finding else "")


SETTINGS = Settings(node_port_addresses=(NODE,))


def test_a_change_ends_its_stale_flows_and_counts_them_by_reason() -> None:
    table = Table(flow(VIP, OLD), flow(VIP, OLD), flow(VIP, VIP), flow(VIP, NEW), flow("10.96.0.11:53", OLD))
    dataplane = Cleanup(table, None, dns(OLD))
    outcome = dataplane.apply(Change(dns(OLD), dns(NEW)))
    assert table.left == [flow(VIP, NEW), flow("10.96.0.11:53", OLD)]
    assert dataplane.told == [{Stale.ENDPOINT_GONE: 2, Stale.UNTRANSLATED: 1}]
    assert (table.lookups, table.dumps) == (1, 0)
    assert outcome.operations == 1


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.SCTP])
def test_row_120_changes_of_tcp_and_sctp_cost_nothing(protocol: Protocol) -> None:
    table = Table()
    dataplane = Cleanup(table)
    dataplane.apply(Change(None, dns(OLD, protocol=protocol)))
    assert (table.lookups, table.dumps, dataplane.told) == (0, 0, [])


def test_more_endpoints_cost_nothing() -> None:
    table = Table(flow(VIP, OLD))
    dataplane = Cleanup(table, None, dns(OLD))
    dataplane.apply(Change(dns(OLD), dns(OLD, NEW)))
    assert (table.lookups, table.dumps, len(table.left)) == (0, 0, 1)


@pytest.mark.parametrize(("ports", "lookups", "dumps"), [(1, 1, 0), (LOOKUPS, LOOKUPS, 0), (LOOKUPS + 1, 0, 1), (1000, 0, 1)])
def test_a_storm_of_changes_costs_one_walk_of_the_table_at_most(ports: int, lookups: int, dumps: int) -> None:
    table = Table(flow("10.96.0.10:1000", OLD), flow("10.96.0.10:1000", NEW))
    dataplane = Cleanup(table)
    dataplane.apply(*(Change(None, replace(dns(NEW), port=1000 + number, name=name_of(number))) for number in range(ports)))
    assert table.left == [flow("10.96.0.10:1000", NEW)]
    assert (table.lookups, table.dumps) == (lookups, dumps)


def test_many_services_on_one_port_are_one_look_up() -> None:
    table = Table()
    dataplane = Cleanup(table)
    dataplane.apply(*(Change(None, replace(dns(NEW, vip=f"10.96.1.{number}"), name=name_of(number))) for number in range(100)))
    assert (table.lookups, table.dumps) == (1, 0)


def test_the_first_sync_ends_what_became_stale_while_nobody_looked() -> None:
    table = Table(flow("192.0.2.1:30053", OLD), flow("192.0.2.1:30053", NEW), flow("10.96.0.9:53", OLD), flow("10.96.0.8:53", OLD))
    mode = Mode(abandoned=(Destination(Family.IPV4, address("10.96.0.9"), 53),))
    cleaner = ConntrackCleaner(table, lambda: (), lambda *_: None, lambda _: None)
    cleaner.after(mode).resync(SETTINGS, [dns(NEW, node_port=30053)])
    assert cleaner.clean()
    assert table.left == [flow("192.0.2.1:30053", NEW), flow("10.96.0.8:53", OLD)]


def test_an_audit_looks_at_the_flows_if_it_repaired_something_or_if_nobody_did_for_long() -> None:
    table = Table(flow(VIP, VIP))
    mode = Mode()
    dataplane = Cleanup(table, mode, dns(NEW))
    dataplane.resync([dns(NEW)])
    assert (table.dumps, table.lookups, len(table.left)) == (0, 0, 1)
    dataplane.now_s = LOOK_AGAIN_S
    dataplane.resync([dns(NEW)])
    assert (table.lookups, table.left) == (1, [])
    mode.operations = 1
    dataplane.resync([dns(NEW)])
    assert (table.dumps, table.lookups) == (0, 2)


def test_an_address_that_stops_serving_node_ports_loses_their_flows() -> None:
    table = Table(flow("192.0.2.1:30053", NEW), flow("192.0.2.2:30053", NEW))
    dataplane = Cleanup(table, None, dns(NEW, node_port=30053))
    dataplane.mode.operations = 1
    dataplane.resync([dns(NEW, node_port=30053)], Settings(node_port_addresses=(address("192.0.2.2"),)))
    assert table.left == [flow("192.0.2.2:30053", NEW)]
    assert dataplane.told == [{Stale.SERVICE_GONE: 1}]


def test_a_full_sync_after_a_failed_one_knows_what_was_served_before() -> None:
    table = Table(flow(VIP, OLD))
    mode = Mode()
    dataplane = Cleanup(table, mode, dns(OLD))
    mode.fails = True
    with pytest.raises(DataplaneError):
        dataplane.apply(Change(dns(OLD), None))
    assert len(table.left) == 1, "the rules still send it there"
    dataplane.resync([])
    assert table.left == []
    assert dataplane.told == [{Stale.SERVICE_GONE: 1}]


def test_a_mode_that_takes_over_knows_what_the_one_before_served() -> None:
    table = Table(flow(VIP, OLD))
    dataplane = Cleanup(table, None, dns(OLD))
    dataplane.mode = Mode()
    dataplane.resync([])
    assert table.left == []


def test_nobody_answers_for_a_service_that_is_refused() -> None:
    table = Table(flow(VIP, OLD))
    dataplane = Cleanup(table, None, dns(OLD))
    dataplane.mode.refuses = frozenset(("kube-dns",))
    dataplane.apply(Change(dns(OLD), dns(OLD, node_port=30053)))
    assert table.left == []


def test_a_table_that_cannot_be_read_is_told_once_it_fails_and_neither_fails_syncs_nor_makes_audits() -> None:
    table = Table(flow(VIP, OLD))
    dataplane = Cleanup(table, None, dns(OLD))
    table.error = errno.EPERM
    assert dataplane.apply(Change(dns(OLD), dns(NEW))).operations == 1
    assert (dataplane.told, dataplane.findings) == ([{}], ["ConntrackNotAccessible"])
    assert not dataplane.after(dataplane.mode).disturbed()
    table.error = 0
    assert dataplane.clean()
    assert (table.left, dataplane.findings) == ([], ["ConntrackNotAccessible", ""])


def test_a_service_that_went_while_the_table_could_not_be_read_is_not_forgotten() -> None:
    table = Table(flow(VIP, OLD), flow("203.0.113.1:53", OLD))
    dataplane = Cleanup(table, None, dns(OLD, external="203.0.113.1"))
    table.error = errno.EPERM
    dataplane.apply(Change(dns(OLD, external="203.0.113.1"), dns(NEW)))
    dataplane.apply(Change(dns(NEW), None))
    table.error = 0
    assert dataplane.clean()
    assert table.left == []
    lookups = table.lookups
    dataplane.resync([])
    assert table.lookups == lookups


def test_where_the_table_can_never_be_read_what_is_remembered_does_not_grow() -> None:
    dataplane = Cleanup(table := Table())
    table.error = errno.EINVAL
    for number in range(3 * REMEMBERED):
        one = replace(dns(OLD, vip=f"10.96.{number // 250}.{number % 250}"), name=name_of(number))
        dataplane.after(dataplane.mode).apply([Change(None, one)])
        dataplane.after(dataplane.mode).apply([Change(one, None)])
        if number % REMEMBERED == REMEMBERED - 1:
            assert not dataplane.clean()
    assert len(dataplane._backlog._former) == REMEMBERED
    assert len(dataplane._backlog._concerned) == 0


def test_what_changes_while_a_clean_up_is_under_way_is_seen_by_the_next() -> None:
    table = Table(flow(VIP, OLD))
    dataplane = Cleanup(table, None, dns(OLD))
    changed = dataplane.after(dataplane.mode)
    changed.apply([Change(dns(OLD), dns(NEW, external="203.0.113.1"))])
    changed.apply([Change(dns(NEW, external="203.0.113.1"), dns(OTHER))])
    table.left += [flow(VIP, NEW), flow("203.0.113.1:53", NEW), flow(VIP, OTHER)]
    assert dataplane.clean()
    assert table.left == [flow(VIP, OTHER)]


class Busy(Table):
    """While it is read, commits of the mode go on, and clients begin new flows: `meanwhile` does both."""

    def __init__(self, *flows: Flow) -> None:
        super().__init__(*flows)
        self.meanwhile: Callable[[], None] | None = None

    def flows(self, family: Family, lookup: Lookup | None = None) -> list[Flow]:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().flows(family, lookup)


def test_a_flow_that_begins_while_the_table_is_read_and_goes_where_a_newer_commit_sends_it_is_left_alone() -> None:
    table = Busy(flow(VIP, OLD))
    dataplane = Cleanup(table, None, dns(OLD))
    changed = dataplane.after(dataplane.mode)
    changed.apply([Change(dns(OLD), dns())])

    def gets_an_endpoint() -> None:
        changed.apply([Change(dns(), dns(NEW))])
        table.left.append(flow(VIP, NEW))

    table.meanwhile = gets_an_endpoint
    assert dataplane.clean()
    assert table.left == [flow(VIP, NEW)]
    assert dataplane.told == [{Stale.ENDPOINT_GONE: 1}]


def test_so_is_one_that_begins_before_that_commit_has_ended() -> None:
    table = Busy()
    dataplane = Cleanup(table)
    dataplane.after(dataplane.mode).apply([Change(None, dns())])

    class Slow(Mode):
        def apply(self, changes: Iterable[Change]) -> Outcome:
            table.left.append(flow(VIP, NEW))
            assert dataplane.clean()
            return super().apply(changes)

    dataplane.after(Slow()).apply([Change(dns(), dns(NEW))])
    assert dataplane.clean()
    assert table.left == [flow(VIP, NEW)]


class Crowded(Table):
    """So many flows to an endpoint that is gone; `most`: how many were read and not deleted yet."""

    number = 100_000

    def __init__(self) -> None:
        super().__init__()
        self.read = self.deleted = self.most = 0

    def flows(self, family: Family, lookup: Lookup | None = None) -> Iterator[Flow]:  # type: ignore[override]
        assert lookup
        for _ in range(self.number if family is Family.IPV4 else 0):
            self.read += 1
            self.most = max(self.most, self.read - self.deleted)
            yield flow(VIP, OLD)

    def delete(self, family: Family, gone: Sequence[Flow]) -> None:
        assert family is Family.IPV4
        self.deleted += len(gone)


def test_many_stale_flows_are_deleted_in_batches_while_the_table_is_read() -> None:
    table = Crowded()
    table.number = 0
    dataplane = Cleanup(table, None, dns(OLD))
    table.number = Crowded.number
    dataplane.apply(Change(dns(OLD), dns(NEW)))
    assert dataplane.told == [{Stale.ENDPOINT_GONE: Crowded.number}]
    assert (table.deleted, table.most) == (Crowded.number, BATCH)


async def test_the_event_loop_goes_on_while_the_table_is_read() -> None:
    reading, go_on = threading.Event(), threading.Event()

    class Slow(Table):
        def flows(self, family: Family, lookup: Lookup | None = None) -> list[Flow]:
            reading.set()
            go_on.wait(60)
            return super().flows(family, lookup)

    table = Slow(flow(VIP, OLD))
    dataplane = Cleanup(table)
    task = asyncio.create_task(dataplane.run())
    dataplane.after(dataplane.mode).apply([Change(dns(OLD), dns(NEW))])
    await soon(reading.is_set)
    dataplane.after(dataplane.mode).apply([Change(dns(NEW), dns(OTHER))])
    assert len(table.left) == 1
    table.left.append(flow(VIP, NEW))
    go_on.set()
    await soon(lambda: not table.left)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_clean_up_that_failed_is_tried_again() -> None:
    table = Table(flow(VIP, OLD))
    dataplane = Cleanup(table)
    table.error = errno.ENOBUFS
    task = asyncio.create_task(dataplane.run())
    dataplane.after(dataplane.mode).apply([Change(dns(OLD), dns(NEW))])
    await soon(lambda: dataplane.findings)
    table.error = 0
    await soon(lambda: not table.left)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert dataplane.findings[-1] == ""


def name_of(number: int) -> PortName:
    return PortName(ServiceName("many", f"dns-{number}"), "dns", Protocol.UDP)


def tuple_of(kind: int, source: str, destination: str, *, usual: bool) -> bytes:
    """CTA_TUPLE_ORIG or _REPLY as the kernel writes it; or with its parts in another order."""
    six = ":" in source.rpartition(":")[0]
    ip = [attribute(3 if six else 1, end(source)[:-2]), attribute(4 if six else 2, end(destination)[:-2])]
    protocol = [attribute(1, b"\x11"), attribute(2, end(source)[-2:]), attribute(3, end(destination)[-2:])]
    if not usual:
        ip.reverse()
        protocol.reverse()
    return nested(kind, nested(1, *ip), nested(2, *protocol))


@pytest.mark.parametrize("usual", [True, False], ids=["usual", "another order"])
@pytest.mark.parametrize(
    ("family", "client", "vip", "backend"),
    [(Family.IPV4, "10.244.0.9:40000", "10.96.0.10:53", OLD), (Family.IPV6, "fd00::9:40000", "fd00:10::a:53", "fd00::1:5353")],
)
def test_a_flow_is_read_whatever_the_order_of_its_parts(family: Family, client: str, vip: str, backend: str, usual: bool) -> None:
    told = b"\2\0\0\0" + tuple_of(1, client, vip, usual=usual) + tuple_of(2, backend, client, usual=usual) + attribute(12, b"\0\0\0\7")
    found = parse(family, told)
    assert (found.destination, found.answers) == (end(vip), end(backend))
