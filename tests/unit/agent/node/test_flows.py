"""Which UDP flows are stale, and when the data plane ends them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from proxyconfig_agent.dataplane import Change, Outcome, Settings
from proxyconfig_agent.ingest.values import Address, Family, Protocol, ServiceName
from proxyconfig_agent.node.cleanup import ONE_BY_ONE, FlowCleanup
from proxyconfig_agent.node.ctnetlink import parse
from proxyconfig_agent.node.flows import Endpoint, Flow, answering, stale
from proxyconfig_agent.node.netlink import attribute, nested
from proxyconfig_agent.select.frontends import Backends, Frontends, PortName


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


@pytest.mark.parametrize(
    ("change", "found", "gone"),
    [
        pytest.param(Change(dns(OLD), dns(NEW)), flow("10.96.0.10:53", OLD), True, id="the endpoint is gone"),
        pytest.param(Change(dns(OLD), dns(NEW)), flow("10.96.0.10:53", NEW), False, id="the endpoint serves"),
        pytest.param(Change(dns(OLD), dns("10.244.0.1:5353")), flow("10.96.0.10:53", OLD), True, id="its port changed"),
        pytest.param(Change(dns(), dns(NEW)), flow("10.96.0.10:53", "10.96.0.10:53"), True, id="never translated, as there was none"),
        pytest.param(Change(dns(OLD), dns()), flow("10.96.0.10:53", OLD), True, id="no endpoint is left"),
        pytest.param(Change(dns(OLD), None), flow("10.96.0.10:53", OLD), True, id="the Service is gone"),
        pytest.param(Change(dns(OLD), dns(NEW)), flow("10.96.0.10:54", OLD), False, id="another port"),
        pytest.param(Change(dns(OLD), dns(NEW)), flow(OLD, OLD), False, id="straight to the endpoint"),
        pytest.param(Change(dns(OLD, external="203.0.113.1"), dns(OLD)), flow("203.0.113.1:53", OLD), True, id="an address is gone"),
        pytest.param(Change(dns(OLD, node_port=30053), dns(NEW, node_port=30053)), flow("192.0.2.1:30053", OLD), True, id="node port"),
        pytest.param(
            Change(dns(OLD, node_port=30053), dns(NEW, node_port=30053)), flow("198.51.100.1:30053", OLD), False, id="elsewhere, same port"
        ),
        pytest.param(
            Change(dns(OLD, protocol=Protocol.TCP), dns(NEW, protocol=Protocol.TCP)),
            flow("10.96.0.10:53", OLD),
            False,
            id="TCP is left alone",
        ),
    ],
)
def test_stale_flows(change: Change, found: Flow, gone: bool) -> None:
    assert bool(stale([found], answering([change], [NODE]).get(Family.IPV4, {}))) is gone


def test_an_address_that_another_service_took_over_is_served_by_that() -> None:
    may_answer = answering([Change(dns(OLD), None), Change(None, dns(NEW))], [])[Family.IPV4]
    assert stale([flow("10.96.0.10:53", NEW), flow("10.96.0.10:53", OLD)], may_answer) == [flow("10.96.0.10:53", OLD)]


def test_families_are_apart() -> None:
    may_answer = answering([Change(None, dns("fd00::1:53", vip="fd00:10::a"))], [])
    assert set(may_answer) == {Family.IPV6}
    assert stale([flow("fd00:10::a:53", "fd00::2:53")], may_answer[Family.IPV6]) != []


@dataclass
class Mode:
    """A data plane that takes everything. `operations` is what each part of a resync takes."""

    operations: int = 1

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        assert settings == Settings(node_port_addresses=(NODE,))
        return Outcome(self.operations * len(list(wanted)))

    def apply(self, changes: Iterable[Change]) -> Outcome:
        return Outcome(len(list(changes)))

    def probe(self) -> dict[str, str]:
        return {}

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

    def flows_to(self, family: Family, destination: Endpoint) -> list[Flow]:
        if self.error:
            raise OSError(self.error, "no")
        self.lookups += 1
        return [flow for flow in self.left if flow.destination == destination and len(destination) == family.size + 2]

    def flows(self, family: Family) -> list[Flow]:
        self.dumps += 1
        return [flow for flow in self.left if len(flow.destination) == family.size + 2]

    def delete(self, family: Family, gone: Sequence[Flow]) -> None:
        assert gone
        for each in gone:
            assert len(each.destination) == family.size + 2
            self.left.remove(each)


def cleanup(table: Table, mode: Mode | None = None) -> tuple[FlowCleanup, list[int]]:
    deleted: list[int] = []
    return FlowCleanup(mode or Mode(), table, lambda: (), lambda _family, number, _took_s: deleted.append(number)), deleted


SETTINGS = Settings(node_port_addresses=(NODE,))


def test_a_change_ends_its_stale_flows_and_counts_them() -> None:
    table = Table(flow("10.96.0.10:53", OLD), flow("10.96.0.10:53", NEW), flow("10.96.0.11:53", OLD))
    dataplane, deleted = cleanup(table)
    assert dataplane.apply([Change(dns(OLD), dns(NEW))]).operations == 1
    assert table.left == [flow("10.96.0.10:53", NEW), flow("10.96.0.11:53", OLD)]
    assert deleted == [1]
    assert (table.lookups, table.dumps) == (1, 0)


def test_changes_of_tcp_cost_nothing() -> None:
    table = Table()
    dataplane, deleted = cleanup(table)
    dataplane.apply([Change(None, dns(OLD, protocol=Protocol.TCP))])
    assert (table.lookups, table.dumps, deleted) == (0, 0, [])


def test_many_changes_read_the_table_once() -> None:
    table = Table(flow("10.96.1.0:53", OLD), flow("10.96.1.1:53", NEW))
    dataplane, _ = cleanup(table)
    dataplane.apply([Change(None, dns(NEW, vip=f"10.96.1.{number}")) for number in range(ONE_BY_ONE + 1)])
    assert table.left == [flow("10.96.1.1:53", NEW)]
    assert (table.lookups, table.dumps) == (0, 1)


def test_the_first_resync_ends_what_became_stale_while_nobody_looked() -> None:
    table = Table(flow("192.0.2.1:30053", OLD), flow("192.0.2.1:30053", NEW))
    mode = Mode(operations=0)
    dataplane, _ = cleanup(table, mode)
    dataplane.resync(SETTINGS, [dns(NEW, node_port=30053)])
    assert table.left == [flow("192.0.2.1:30053", NEW)]
    lookups = table.lookups
    dataplane.resync(SETTINGS, [dns(NEW, node_port=30053)])
    assert table.lookups == lookups, "an audit that finds nothing leaves the flows alone"
    mode.operations = 1
    dataplane.resync(SETTINGS, [dns(NEW, node_port=30053)])
    assert table.lookups > lookups


def test_a_table_that_cannot_be_read_does_not_fail_the_sync() -> None:
    table = Table()
    table.error = errno.EPERM
    dataplane, deleted = cleanup(table)
    assert dataplane.apply([Change(dns(OLD), dns(NEW))]).operations == 1
    assert deleted == []


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
