"""What the mode makes in the kernel, what it leaves alone, and what it repairs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace
from tests.kernel.in_namespace import Entered
from tests.kernel.nftables.examples import SETTINGS, every_kind
from tests.kernels.conftest import Start
from tests.kernels.node import Node
from tests.support.polling import eventually
from tests.unit.agent.dataplane.ipvs import golden
from tests.unit.agent.dataplane.nftables.frontends import backends, frontends, ip

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.ipvs.model.servers import TAG, keeper, scheduling_of
from proxyconfig_agent.dataplane.ipvs.sync.watch import PERIOD_S
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Settings
from proxyconfig_agent.dataplane.port import Ipvs as IpvsSettings
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.netlink.ipvs import messages
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Command, Destination, Scheduling, VirtualServer

NEAR, FAR = "10.244.0.1:8080", "10.244.1.1:8080"
WEB = frontends(cluster=(NEAR, FAR))
SERVER = VirtualServer(Protocol.TCP, ip("10.96.0.10"), 80)
FOREIGN = Scheduling("wlc", 0)


@pytest.fixture
def node(node: Node) -> Node:
    node.space.ip(["link set lo up", "addr add 192.168.50.1/32 dev lo", "addr add fd00:50::1/128 dev lo"])
    return node


@pytest.fixture
def dataplane(node: Node, start: Start) -> Entered:
    del node
    return start(Ipvs)


@pytest.fixture
def kernel(node: Node) -> Iterator[Connection]:
    with closing(node.space.call(Connection)) as made:
        yield made


def put(kernel: Connection, *commands: Command) -> None:
    assert kernel.commit(commands) == []


def test_remove_leaves_nothing_but_what_is_foreign(dataplane: Entered, kernel: Connection, node: Node) -> None:
    foreign = VirtualServer(Protocol.TCP, ip("192.0.2.1"), 80)
    put(kernel, messages.new_service(foreign, FOREIGN))
    dataplane.resync(SETTINGS, every_kind())
    dataplane.remove()
    assert dataplane.scan() == []
    assert kernel.services() == {foreign: FOREIGN}
    assert "proto 88" not in node.space.run("ip", "route", "show", "table", "local")


@pytest.mark.parametrize("at_once", [True, False], ids=["at-a-resync", "at-a-change"])
def test_a_virtual_server_of_another_program_is_left_alone(dataplane: Entered, kernel: Connection, at_once: bool) -> None:
    put(kernel, messages.new_service(SERVER, FOREIGN))
    other = frontends("other", "10.96.0.11", (NEAR,))
    if at_once:
        outcome = dataplane.resync(SETTINGS, [WEB, other])
    else:
        dataplane.resync(SETTINGS, [])
        outcome = dataplane.apply([Change(None, WEB), Change(None, other)])
    (refusal,) = outcome.refused
    assert refusal.service == WEB.name.service
    assert "another program" in refusal.reason
    assert kernel.services()[SERVER] == FOREIGN
    assert VirtualServer(Protocol.TCP, ip("10.96.0.11"), 80) in kernel.services()
    assert not any("10.96.0.10" in line for line in dataplane.scan())


def test_services_have_rr_where_the_kernel_lacks_the_scheduler_of_the_settings(dataplane: Entered, kernel: Connection) -> None:
    settings, own = replace(SETTINGS, ipvs=IpvsSettings(scheduler="nosuch")), replace(WEB, scheduler="norsuch")
    outcome = dataplane.resync(settings, [WEB])
    assert outcome.refused == ()
    assert outcome.unscheduled == (
        "spec.ipvs.scheduler: the kernel has no scheduler nosuch; load it (modprobe ip_vs_nosuch), or choose another; "
        "Services have rr meanwhile"
    )
    assert kernel.services()[SERVER] == scheduling_of("rr", 0)
    (refusal,) = dataplane.apply([Change(WEB, own)]).refused
    assert "norsuch" in refusal.reason
    assert "meanwhile it has rr" in refusal.reason
    assert kernel.services()[SERVER] == scheduling_of("rr", 0)
    assert dataplane.resync(SETTINGS, [WEB]).unscheduled == ""


@pytest.mark.parametrize("at_once", [True, False], ids=["at-a-resync", "at-a-change"])
def test_a_service_has_its_own_scheduler(dataplane: Entered, kernel: Connection, at_once: bool) -> None:
    own = replace(WEB, scheduler="lc")
    outcome = dataplane.resync(SETTINGS, [own] if at_once else [WEB])
    if not at_once:
        outcome = dataplane.apply([Change(WEB, own)])
    assert outcome.refused == ()
    assert kernel.services()[SERVER] == scheduling_of("lc", 0)
    assert dataplane.resync(SETTINGS, [own]).operations == 0


@pytest.mark.parametrize("at_once", [True, False], ids=["at-a-resync", "at-a-change"])
def test_a_service_keeps_the_others_scheduler_where_the_kernel_lacks_its_own_and_it_is_told(
    dataplane: Entered, kernel: Connection, at_once: bool
) -> None:
    own = replace(WEB, scheduler="nosuch")
    outcome = dataplane.resync(SETTINGS, [own] if at_once else [WEB])
    if not at_once:
        outcome = dataplane.apply([Change(WEB, own)])
    for each in (outcome, dataplane.apply([Change(own, replace(own, cluster=backends(NEAR)))]), dataplane.resync(SETTINGS, [own])):
        (refusal,) = each.refused
        assert (refusal.service, refusal.partly, refusal.everywhere) == (WEB.name.service, True, False)
        assert refusal.reason == (
            "metadata.annotations[proxyconfig.dev/ipvs-scheduler]: the kernel has no scheduler nosuch; load it (modprobe ip_vs_nosuch), "
            "or choose another; meanwhile it has rr"
        )
    assert kernel.services()[SERVER] == scheduling_of("rr", 0)
    assert dataplane.apply([Change(own, WEB)]).refused == ()
    assert dataplane.resync(SETTINGS, [WEB]).refused == ()


def test_a_virtual_server_that_somebody_deleted_is_repaired(dataplane: Entered, kernel: Connection) -> None:
    dataplane.resync(SETTINGS, [WEB])
    put(kernel, messages.delete_service(SERVER))
    outcome = dataplane.resync(SETTINGS, [WEB])
    assert outcome.repaired == "2 destinations, 1 virtual servers"
    assert SERVER in kernel.services()


def test_a_weight_that_somebody_changed_is_repaired(dataplane: Entered, kernel: Connection) -> None:
    dataplane.resync(SETTINGS, [WEB])
    put(kernel, messages.set_destination(SERVER, Destination(ip("10.244.0.1"), 8080), 0))
    assert dataplane.resync(SETTINGS, [WEB]).operations == 1
    put(kernel, messages.set_destination(SERVER, Destination(ip("10.244.0.1"), 8080), 7))
    assert dataplane.resync(SETTINGS, [WEB]).operations == 1
    assert dataplane.resync(SETTINGS, [WEB]).operations == 0


def test_what_somebody_deletes_is_noticed(node: Node, start: Start, kernel: Connection) -> None:
    passed = [0.0]
    dataplane = start(lambda: Ipvs(now=lambda: passed[0]))
    dataplane.resync(SETTINGS, [WEB])

    def noticed() -> bool:
        passed[0] += PERIOD_S
        disturbed = dataplane.disturbed()
        _end_of_reading()
        return disturbed

    for _ in range(4):
        assert not noticed()
    put(kernel, messages.delete_destination(SERVER, Destination(ip("10.244.0.1"), 8080)))
    eventually(noticed)
    dataplane.resync(SETTINGS, [WEB])
    for _ in range(4):
        assert not noticed()
    node.space.ip(["route del local 10.96.0.10 table local"])
    eventually(noticed)


def _end_of_reading() -> None:
    """What a thread of the watch has begun to read is what was there before the test's next change."""
    for thread in threading.enumerate():
        if thread.name == "ipvs-watch":
            thread.join()


def test_the_scheduler_changes_in_place(dataplane: Entered, kernel: Connection) -> None:
    dataplane.resync(SETTINGS, [WEB])
    dataplane.resync(replace(SETTINGS, ipvs=IpvsSettings(scheduler="lc")), [WEB])
    assert kernel.services()[SERVER] == scheduling_of("lc", 0)


@pytest.mark.parametrize("family", Family)
def test_a_keeper_is_there_without_any_service(dataplane: Entered, kernel: Connection, family: Family) -> None:
    dataplane.resync(SETTINGS, [])
    server, has = keeper(family)
    assert kernel.services()[server] == has.scheduling


def test_a_local_route_of_another_owner_stays(dataplane: Entered, node: Node) -> None:
    node.space.ip(["addr add 10.96.0.10/32 dev lo"])
    dataplane.resync(SETTINGS, [WEB])
    dataplane.remove()
    assert "10.96.0.10" in node.space.run("ip", "route", "show", "table", "local")


def test_the_source_of_the_node_follows_its_address(dataplane: Entered, node: Node) -> None:
    node.space.ip(["addr add 192.168.50.9/32 dev lo"])
    dataplane.resync(SETTINGS, [WEB])
    dataplane.resync(replace(SETTINGS, node_addresses=(ip("192.168.50.9"),)), [WEB])
    assert "src 192.168.50.9" in node.space.run("ip", "route", "get", "10.96.0.10")


def bound(node: Node) -> set[str]:
    """The addresses of the link."""
    return {line.split()[3].partition("/")[0] for line in node.space.run("ip", "-o", "addr", "show", "kube-ipvs0").splitlines()}


def test_addresses_are_on_a_link_only_where_the_settings_say_so(dataplane: Entered, node: Node) -> None:
    binding = replace(SETTINGS, ipvs=IpvsSettings(binds_addresses=True))
    dataplane.resync(SETTINGS, [WEB])
    assert "kube-ipvs0" not in node.space.run("ip", "link")
    dataplane.resync(binding, [WEB])
    assert bound(node) == {"10.96.0.10"}
    six = frontends("six", "fd00:96::6", ("[fd00:244::1]:8080",), load_balancer_ips=(ip("fd00:60::6"),))
    https = replace(WEB, name=WEB.name._replace(port="https"), port=443, external_ips=(ip("192.0.2.5"),))
    dataplane.apply([Change(None, six), Change(None, https)])
    assert bound(node) == {"10.96.0.10", "192.0.2.5", "fd00:96::6", "fd00:60::6"}
    assert dataplane.resync(binding, [WEB, six, https]).operations == 0
    dataplane.apply([Change(six, None), Change(https, None)])
    assert bound(node) == {"10.96.0.10"}
    assert "link kube-ipvs0" in dataplane.scan()
    dataplane.resync(SETTINGS, [WEB])
    assert "kube-ipvs0" not in node.space.run("ip", "link")
    assert "local 10.96.0.10" in node.space.run("ip", "route", "show", "table", "local")
    dataplane.resync(binding, [WEB])
    dataplane.remove()
    assert dataplane.scan() == []
    assert "kube-ipvs0" not in node.space.run("ip", "link")


def test_a_link_of_another_program_is_left_alone(dataplane: Entered, node: Node, kernel: Connection) -> None:
    node.space.ip(["link add kube-ipvs0 type dummy", "addr add 192.0.2.7/32 dev kube-ipvs0"])
    with pytest.raises(DataplaneError, match=r"^spec\.ipvs\.bindAddresses: another program has made kube-ipvs0"):
        dataplane.resync(replace(SETTINGS, ipvs=IpvsSettings(binds_addresses=True)), [WEB])
    assert SERVER in kernel.services(), "the Services are served"
    dataplane.remove()
    assert bound(node) == {"192.0.2.7"}


def test_the_probe_names_what_it_found(dataplane: Entered) -> None:
    found = dataplane.probe()
    assert found.unserved == {}
    assert found.features["ip_vs"] == "available"
    assert dataplane.scan() == []


@pytest.mark.parametrize("family", Family)
def test_nft_prints_what_the_golden_files_say(dataplane: Entered, node: Node, family: Family) -> None:
    dataplane.resync(Settings(service_cidrs=SETTINGS.service_cidrs), [])
    listed = node.space.run("nft", "list", "table", "ip" if family is Family.IPV4 else "ip6", "proxyconfig-ipvs")
    text = golden.text(Settings(service_cidrs=SETTINGS.service_cidrs), family)
    rules = [line.split(maxsplit=5)[5] for line in text.splitlines() if line.startswith("add rule")]
    printed = [line.strip() for line in listed.splitlines()]
    assert [rule for rule in rules if rule not in printed] == []


def test_the_mark_is_in_the_flags(dataplane: Entered, kernel: Connection) -> None:
    dataplane.resync(SETTINGS, every_kind())
    assert {scheduling.flags & 0xFFFF0000 for scheduling in kernel.services().values()} == {TAG}
